"""The gradient of each task's loss on chosen modules of the shared backbone.

In round-robin training each task has a batch of its own; in joint training all tasks have one
batch, and an allocation.
"""

import copy
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.functional import cosine_matrix, derive_seed
from mmgradsplit.utils import seed_all, unwrapped

WHOLE = 'backbone'
STAGE = re.compile(r'(layer|stage)_?\d+')


def replica_of(model: nn.Module) -> Any:
    """A copy of a multi-task model to measure with, whose use leaves no trace in the original.

    A forward pass moves running statistics, and whatever else a model may keep: those of the copy.

    Args:
        model: The model, or the DistributedDataParallel around it.

    Raises:
        ValueError: If it does not compute task losses.
    """
    return copy.deepcopy(multi_task(model))


def multi_task(model: nn.Module) -> Any:
    """The model that computes task losses, without what may be wrapped around it.

    Raises:
        ValueError: If it does not compute task losses.
    """
    bare = unwrapped(model)
    if not hasattr(bare, 'compute_losses'):
        raise ValueError(
            f'task gradients are those of a MultiTaskModel, but model.type is '
            f"'{type(bare).__name__}'"
        )
    return bare


def module_parameters(
    backbone: nn.Module, modules: Iterable[str] | None = None, key: str = 'modules'
) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters of modules of the backbone.

    Args:
        backbone: The shared backbone.
        modules: Names, such as ``'layer4.0'``, or patterns, such as ``'layer?.0'``; ``'backbone'``
            is the whole. By default, the first block of every stage (Figure 3).
        key: What ``modules`` is called in messages.

    Returns:
        The parameters of each module that is named, in the order of the names.

    Raises:
        ValueError: If a name matches no module, a module has no parameter to train, or the
            backbone has no stages whose first blocks could be the default.
    """
    names = [name for name, _ in backbone.named_modules() if name]
    top = [name for name, _ in backbone.named_children()]
    if modules is None:
        stages = [name for name in top if STAGE.fullmatch(name) and f'{name}.0' in names]
        if not stages:
            raise ValueError(
                f"{key}: the {type(backbone).__name__} has no stages 'layer1', 'layer2', …, whose "
                f'first blocks are the default; name modules out of {top} and what they contain'
            )
        modules = [f'{name}.0' for name in stages]
    found: dict[str, list[nn.Parameter]] = {}
    for pattern in modules:
        matches = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if pattern == WHOLE:
            matches = [WHOLE]
        if not matches:
            raise ValueError(
                f"{key}: '{pattern}' matches no module of the {type(backbone).__name__}, whose "
                f'modules are {top} and what they contain'
            )
        for name in matches:
            module = backbone if name == WHOLE else backbone.get_submodule(name)
            parameters = module.parameters()
            found[name] = [parameter for parameter in parameters if parameter.requires_grad]
            if not found[name]:
                raise ValueError(f"{key}: '{name}' has no parameter to train; leave it out")
    return found


def preprocessed(model: Any, batches: Mapping[str, Any], seed: int) -> dict[str, dict]:
    """The batch of each task as its data preprocessor leaves it for training.

    Preprocessors may change data samples in place, so a batch can be preprocessed only once.

    Args:
        model: A MultiTaskModel.
        batches: The batch of each task, as its dataloader gives it.
        seed: Seed of what preprocessors draw.
    """
    seed_all(derive_seed(seed, get_rank()))
    return {
        task: model.data_preprocessor(dict(batch, task=task), True)
        for task, batch in batches.items()
    }


def task_loss(model: Any, data: dict, seed: int) -> Tensor:
    """The loss of a task on this rank's own batch, a scalar.

    Unlike ``compute_losses`` it neither uses the batch up nor takes the mean over the ranks: each
    rank measures on samples of its own.

    Args:
        model: A MultiTaskModel.
        data: Preprocessed batch of one task.
        seed: Seed of what the forward pass draws: with the same one, it draws the same.
    """
    seed_all(derive_seed(seed, get_rank(), data['task']))
    loss: Tensor = model.parse_losses(model(**data, mode='loss'))[0]
    return loss


def task_gradients(
    model: Any,
    data: Mapping[str, dict],
    parameters: Mapping[str, Sequence[nn.Parameter]],
    seed: int,
    leaves: Iterable[Any] = (),
) -> dict[str, dict[str, Tensor]]:
    """Gradient of each task's loss on each module.

    ``grad`` of the parameters stays as it is, but a forward pass moves running statistics: where
    the model is trained, measure with a :func:`replica_of` it.

    Args:
        model: A MultiTaskModel.
        data: Preprocessed batch of each task.
        parameters: Parameters of each module.
        seed: As for :func:`task_loss`.
        leaves: The leaves of a GradSplitOptimWrapper of this model. With them, the gradient is zero
            where the relation mask does not let the task train.

    Returns:
        By task and module the flattened gradient, shape [P] for P values in the module's
        parameters; zero where the loss does not depend on a parameter.
    """
    every = _every(parameters)
    gradients = {}
    for task, batch in data.items():
        of = _gradient(task_loss(model, batch, seed), every)
        for leaf in leaves:
            if leaf.source in of and task not in leaf.holders:
                of[leaf.source] = of[leaf.source].clone()
                of[leaf.source][leaf.start : leaf.stop] = 0
        gradients[task] = _flattened(of, parameters)
    return gradients


def gradient_cosines(
    gradients: Mapping[str, Mapping[str, Tensor]],
) -> dict[str, NDArray[np.float64]]:
    """Cosine similarities of the task gradients on each module.

    Args:
        gradients: What :func:`task_gradients` returns, of T tasks.

    Returns:
        By module, shape [T x T].
    """
    modules = next(iter(gradients.values()))
    return {name: cosine_matrix([of[name] for of in gradients.values()]) for name in modules}


def step_gradients(
    losses: Mapping[str, Tensor],
    weighting: Callable[[Mapping[str, Tensor]], Tensor],
    tasks: Sequence[str],
    parameters: Mapping[str, Sequence[nn.Parameter]],
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Gradients of the task losses, and of the loss of the step, which is a function of them.

    Args:
        losses: Task losses, of the tasks that have a sample.
        weighting: Makes the loss of the step of them.
        tasks: Names of all tasks.
        parameters: Parameters of each module.

    Returns:
        By task and module the flattened gradient of the task's loss, shape [P] for P values in the
        module's parameters, zero for a task without a sample; and by module that of the step.
    """
    every = _every(parameters)
    nothing = _flattened(
        {parameter: torch.zeros_like(parameter) for parameter in every}, parameters
    )
    # The chain rule spares a backward pass for the step.
    factors = _gradient(weighting(losses), list(losses.values()), True) if losses else {}
    step = dict(nothing)
    by_task: dict[str, dict[str, Tensor]] = {}
    for task in tasks:
        by_task[task] = nothing
        if task in losses:
            by_task[task] = _flattened(_gradient(losses[task], every, True), parameters)
            factor = factors[losses[task]]
            step = {name: of + factor * by_task[task][name] for name, of in step.items()}
    return by_task, step


def _every(parameters: Mapping[str, Sequence[nn.Parameter]]) -> list[nn.Parameter]:
    """The parameters of all modules, each once."""
    return list(dict.fromkeys(p for group in parameters.values() for p in group))


def _gradient(
    loss: Tensor, of: Sequence[Tensor], retain_graph: bool = False
) -> dict[Tensor, Tensor]:
    """The derivative of a loss by each tensor; zero where it does not depend on it."""
    found = torch.autograd.grad(
        loss, of, retain_graph=retain_graph, allow_unused=True, materialize_grads=True
    )
    return dict(zip(of, found, strict=True))


def _flattened(
    gradients: Mapping[Tensor, Tensor], parameters: Mapping[str, Sequence[nn.Parameter]]
) -> dict[str, Tensor]:
    """By module its parameters' gradients one after the other, shape [P]."""
    return {
        name: torch.cat([gradients[parameter].flatten() for parameter in group])
        for name, group in parameters.items()
    }


def angle_matrix(gradients: Sequence[Tensor]) -> NDArray[np.float64]:
    """Angle of every two gradients in degrees, from 0 to 180.

    Args:
        gradients: T vectors of the same length.

    Returns:
        shape [T x T], symmetric; NaN for a gradient of zero, which has no direction.
    """
    angles = np.degrees(np.arccos(cosine_matrix(gradients)))
    zero = np.array([not gradient.any() for gradient in gradients])
    angles[zero] = angles[:, zero] = np.nan
    return angles
