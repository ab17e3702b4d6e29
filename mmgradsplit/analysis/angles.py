"""Angles between task gradients and between successive steps, the model frozen (STA, Figs 1, 2)."""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from torch import Tensor

from mmgradsplit.engine.allocators import Allocator
from mmgradsplit.engine.loops.joint import iteration_allocations, with_own_samples
from mmgradsplit.functional import derive_seed
from mmgradsplit.optim import Weighting
from mmgradsplit.registry import ALLOCATORS
from mmgradsplit.utils import seed_all

from .task_batches import STREAM, TaskBatches
from .task_gradients import WHOLE, angle_matrix, module_parameters, step_gradients

# By 'tasks' and the pair of tasks, and by 'steps' and 'within' or 'across': angles in degrees, in
# the order of the steps; None where a gradient is zero, so that there is none.
Angles = dict[str, dict[str, list[float | None]]]
# By allocator and module.
Measured = dict[str, dict[str, Angles]]
# What the figures compare, on all that the tasks share.
ALLOCATIONS = ('FullTask', 'STA', 'ISTA')
MODULES = (WHOLE,)


def build_allocators(
    allocators: Sequence[str | Mapping], tasks: Sequence[str], key: str
) -> dict[str, Allocator]:
    """Allocators by the names that they have in results.

    Args:
        allocators: Configs, or short forms: ``'STA'``, or ``'STA:2'`` for two tasks a sample.
        tasks: Names of the tasks.
        key: What ``allocators`` is called in messages.

    Returns:
        The allocators by their short forms.

    Raises:
        ValueError: If there is none, one is not known, does not fit the tasks or comes twice.
    """
    built: dict[str, Allocator] = {}
    for given in [allocators] if isinstance(allocators, str | Mapping) else allocators:
        options = _options(given, key) if isinstance(given, str) else dict(given)
        kind = str(options.pop('type', None))
        allocator = ALLOCATORS.get(kind)
        if allocator is None:
            known = sorted(ALLOCATORS.module_dict)
            raise ValueError(f"{key}: there is no allocator '{kind}'; choose from {known}")
        name = kind.rpartition('.')[2] + (f':{options["size"]}' if 'size' in options else '')
        if name in built:
            raise ValueError(f"{key}: '{name}' is given twice")
        try:
            built[name] = allocator(**options)
            built[name].check(tasks)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{key}, '{name}': {error}") from error
    if not built:
        raise ValueError(f"{key} is empty; name at least one allocator, such as 'STA'")
    return built


def _options(short: str, key: str) -> dict[str, Any]:
    kind, colon, size = short.partition(':')
    if colon and not size.isdecimal():
        raise ValueError(f"{key}: '{short}' must be an allocator, or one with its size, as 'STA:2'")
    return dict(type=kind, size=int(size)) if colon else dict(type=kind)


class AngleMeter:
    """Collects the angles of the gradients that one allocator makes, step after step.

    Batches, allocations and the random numbers of the forward passes are those of JointTrainLoop
    at the same seed, rank and iteration. The loss of a step is what the weighting makes of the task
    losses.

    Args:
        model: A model for joint training, in training mode. It stays as it is: what a forward pass
            moves, such as running statistics, moves in a copy of the meter's own.
        weighting: The weighting of the training, linked to the model's backbone; it stays as it is,
            too.
        allocator: The allocator.
        modules: Names, or patterns, of the backbone's modules; ``'backbone'`` is the whole.
        seed: Seed of the run.
        annotations: Field of the data sample that holds a task's annotation, by task; by default
            all samples have all annotations.

    Attributes:
        angles: By module, what was measured so far.
    """

    def __init__(
        self,
        model: Any,
        weighting: Weighting,
        allocator: Allocator,
        modules: Sequence[str],
        seed: int,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        # Together, so that the weighting's copy is linked to that of the model.
        self.model, self.weighting = copy.deepcopy((model, weighting))
        self.allocator, self.seed, self.annotations = allocator, seed, annotations
        self.tasks = list(self.model.tasks)
        self.parameters = module_parameters(self.model.backbone, modules)
        pairs = [f'{one}-{other}' for one, other in itertools.combinations(self.tasks, 2)]
        self.angles: dict[str, Angles] = {
            name: dict(tasks={pair: [] for pair in pairs}, steps=dict(within=[], across=[]))
            for name in self.parameters
        }
        self._previous: dict[str, Tensor] = {}

    def see(self, batch: Mapping[str, Any], iteration: int) -> None:
        """Measure all sub-steps of an iteration.

        Args:
            batch: What the dataloader gives; it stays as it is.
            iteration: Its number in the run.

        Raises:
            FloatingPointError: If a gradient is not finite.
        """
        place = (self.seed, get_rank(), iteration)
        allocations = iteration_allocations(
            self.allocator, batch, self.tasks, self.annotations, place
        )
        for number, allocation in enumerate(allocations):
            seed_all(derive_seed(*place, f'sub-step {number}'))
            part = dict(with_own_samples(batch), allocation=allocation)
            losses = self.model.compute_losses(part).losses
            tasks, step = step_gradients(losses, self.weighting, self.tasks, self.parameters)
            self._check(dict(tasks, **{'the step': step}), iteration)
            for module, found in self.angles.items():
                matrix = angle_matrix([tasks[task][module] for task in self.tasks])
                upper = matrix[np.triu_indices(len(self.tasks), 1)]
                for values, angle in zip(found['tasks'].values(), upper, strict=True):
                    values.append(_number(angle))
                if self._previous:
                    angle = angle_matrix([self._previous[module], step[module]])[0, 1]
                    found['steps']['within' if number else 'across'].append(_number(angle))
            self._previous = step

    def _check(self, gradients: Mapping[str, Mapping[str, Tensor]], iteration: int) -> None:
        for (name, of), module in itertools.product(gradients.items(), self.parameters):
            if not of[module].isfinite().all():
                raise FloatingPointError(
                    f"{type(self.allocator).__name__}, batch {iteration}: the gradient of '{name}' "
                    f"on '{module}' is not finite, so it has no direction; train with a lower "
                    f'learning rate, or measure an earlier checkpoint'
                )


def measure_angles(
    model: Any,
    weighting: Weighting,
    batches: TaskBatches,
    allocators: Mapping[str, Allocator],
    modules: Sequence[str],
    positions: Iterable[int],
    annotations: Mapping[str, str] | None = None,
) -> Measured:
    """Angles that each allocator makes on the same batches, with a model that is not updated.

    Args:
        model: A model for joint training, in training mode; it stays as it is.
        weighting: As for :class:`AngleMeter`.
        batches: Batches of its one stream.
        allocators: By the names that they have in the result.
        modules: As for :class:`AngleMeter`.
        positions: Successive positions of the batches: the iterations.
        annotations: As for :class:`AngleMeter`.

    Returns:
        By allocator and module. ``tasks`` has for each pair of tasks one angle a step; ``steps``
        has the angles of successive steps: ``within`` an iteration, which are the sub-steps of
        ISTA, and ``across``, from the last step of an iteration to the first of the next.

    Raises:
        FloatingPointError: If a gradient is not finite.
        ValueError: If a module is not there, or annotations are not those of the tasks.
    """
    tasks = list(model.tasks)
    if annotations is not None and sorted(annotations) != sorted(tasks):
        raise ValueError(
            f'train_cfg.annotations must name a field for each of the tasks {tasks}, got '
            f'{dict(annotations)}'
        )
    meters = {
        name: AngleMeter(model, weighting, allocator, modules, batches.seed, annotations)
        for name, allocator in allocators.items()
    }
    for position in positions:
        batch = batches.at(position)[STREAM]
        for meter in meters.values():
            meter.see(batch, position)
    return {name: meter.angles for name, meter in meters.items()}


def joined(parts: Sequence[Measured]) -> Measured:
    """All angles of several measurements with the same allocators, modules and tasks."""

    def pool(allocator: str, module: str, kind: str, name: str) -> list[float | None]:
        return [angle for part in parts for angle in part[allocator][module][kind][name]]

    return _each(parts[0], pool)


def described(measured: Measured) -> dict[str, dict[str, dict[str, dict[str, dict]]]]:
    """The angles with their summary, as JSON holds them.

    Returns:
        By allocator, module, kind and name ``count``, ``mean``, ``std``, ``median``, ``above_90``
        (None where there is no angle) and ``angles``.
    """

    def describe(allocator: str, module: str, kind: str, name: str) -> dict[str, Any]:
        angles = measured[allocator][module][kind][name]
        return dict(**summarize_angles(angles), angles=angles)

    return _each(measured, describe)


def _each(measured: Measured, function: Callable[[str, str, str, str], Any]) -> dict:
    """``function`` of allocator, module, kind and name in the place of the angles."""
    return {
        allocator: {
            module: {
                kind: {name: function(allocator, module, kind, name) for name in of_kind}
                for kind, of_kind in kinds.items()
            }
            for module, kinds in modules.items()
        }
        for allocator, modules in measured.items()
    }


def summarize_angles(angles: Sequence[float | None]) -> dict[str, Any]:
    """``count``, ``mean``, ``std``, ``median`` and ``above_90``, the share above 90 degrees.

    Args:
        angles: In degrees; None is not counted.

    Returns:
        The numbers; where there is no angle, ``count`` is 0 and the others are None.
    """
    values = np.array([angle for angle in angles if angle is not None])
    if not len(values):
        return dict(count=0, mean=None, std=None, median=None, above_90=None)
    return dict(
        count=len(values),
        mean=float(values.mean()),
        std=float(values.std()),
        median=float(np.median(values)),
        above_90=float((values > 90).mean()),
    )


def _number(angle: float) -> float | None:
    return None if np.isnan(angle) else float(angle)
