"""GradSplit's optimizer wrapper: a task step moves only the filter groups that it does not hurt."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmengine.optim import OptimWrapper
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.optim.aggregation.gradient_sums import GradientAggregate, GradientSum
from mmgradsplit.optim.aggregation.task_jacobian import any_matrix
from mmgradsplit.optim.aggregation.wrapper import load_aggregator
from mmgradsplit.optim.torchjd_state import torchjd_state
from mmgradsplit.optim.weightings import Weighting
from mmgradsplit.optim.wrapper import MultiTaskOptimWrapper
from mmgradsplit.registry import OPTIM_WRAPPERS

from .leaves import Leaf
from .task_update import TaskUpdate


@OPTIM_WRAPPERS.register_module()
class GradSplitOptimWrapper(MultiTaskOptimWrapper):
    """GradSplit (section 3.1, Eq. 4): a task step moves only the filter groups it does not hurt.

    The optimizers hold one leaf parameter for each span of output channels that the same tasks
    train. A leaf shares the storage of the model's parameter, so the forward pass and the
    ``state_dict`` are those of the multi-head baseline, and what a task may not move is not given a
    gradient: it stays bit for bit as it is.

    As an ``OptimWrapperDict`` it shows the optimizers: one by the name of each task, or a single
    one.

    Built by :class:`GradSplitOptimWrapperConstructor`, which documents the config.

    Args:
        bases: mmengine's wrapper of each optimizer.
        model: The MultiTaskModel.
        weighting: How task losses become one loss.
        updates: The update of each task.
        leaves: All leaves of the model.
        names: Name of each parameter of the model, for the checkpoint.
        mask: shape [T x T], the relation mask, for pictures and logs.
        changes: shape [T x T], the relative changes behind the mask, if there are any.
        threshold: The threshold of the mask.
        split: The parameters that are split into filter groups.
        sums: Of the task gradients of a major iteration, where there is one update for all of them.
    """

    by_task = True
    constructor = 'mmgradsplit.GradSplitOptimWrapperConstructor'
    config_keys = (
        'relations', 'threshold', 'modules', 'split_norm', 'optimizers', 'update', 'aggregator',
        'drop_grad',
    )  # fmt: skip

    def __init__(
        self,
        bases: Mapping[str, OptimWrapper],
        model: Any,
        weighting: Weighting,
        updates: Mapping[str, TaskUpdate],
        leaves: Sequence[Leaf],
        names: Mapping[nn.Parameter, str],
        mask: NDArray[np.bool_],
        changes: NDArray[np.float64] | None,
        threshold: float,
        split: Sequence[nn.Parameter],
        sums: GradientSum | None = None,
    ) -> None:
        super().__init__(bases, model, weighting)
        self.task_updates = dict(updates)
        self.leaves = list(leaves)
        self.names = dict(names)
        self.mask = mask
        self.changes = changes
        self.threshold = threshold
        self.split = list(split)
        self.sums = sums
        self._current: TaskUpdate | None = None
        self._final = True
        # Where the model has each parameter.
        self.places = {
            param: (vars(module)['_parameters'], key)
            for module in model.modules()
            for key, param in module.named_parameters(recurse=False)
            if param in self.names
        }

    def governed(self) -> tuple[int, int]:
        """Number of weights in filter groups, and how many of them some task may not train."""
        number = len(self.tasks)
        in_groups = sum(
            param[: number * (len(param) // number)].numel()  # the rest belongs to no task
            for param in self.split
        )
        split = set(self.split)
        kept = sum(
            leaf.param.numel()
            for leaf in self.leaves
            if leaf.source in split and len(leaf.holders) < number
        )
        return in_groups, kept

    def counters(self) -> dict[str, OptimWrapper]:
        """Mmengine's wrapper of each task, which counts the task's own steps."""
        return {task: update.optim_wrapper for task, update in self.task_updates.items()}

    @property
    def once(self) -> str:
        """Eq. 4, where there is one update for all tasks."""
        return '' if self.sums is None else "optim_wrapper.update='iteration'"

    def updates(self, name: str, sub_steps: int) -> int:
        """Steps of a task in an iteration."""
        return self.repeats[name] if self.task_steps else sub_steps

    def relink(self) -> None:
        """Share the storage of the model's parameters, which a hook may have replaced.

        Raises:
            RuntimeError: If a parameter is on another device than its optimizer, or is no longer a
                parameter of the model.
        """
        for leaf in self.leaves:
            leaf.relink()
        for param, (module, key) in self.places.items():
            if module.get(key) is not param:
                raise RuntimeError(
                    f"the model's '{self.names[param]}' is another parameter than the one that the "
                    f'optimizer trains; replace parameters before training begins, not in a hook'
                )

    def begin_step(self, tasks: Sequence[str], final: bool) -> None:
        """Take note of the task of the next step.

        Args:
            tasks: The one task.
            final: Whether it is the last task step before the update, where one is for all.
        """
        (task,) = tasks
        self._current, self._final = self.task_updates[task], final
        self.relink()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass of the task whose step has begun.

        Raises:
            RuntimeError: If the training loop has not said which task that is.
        """
        if self._current is None:
            raise RuntimeError(
                'GradSplitOptimWrapper has to be told the task of a step (begin_step), as the '
                'loops of mmgradsplit do: set train_cfg.type'
            )
        with self._current.optim_context(model):
            yield

    def update_tasks(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Move what the task step may move.

        Args:
            losses: The loss of the one task whose step has begun, a scalar.

        Returns:
            What is logged.
        """
        (task,) = losses
        total = self.weigh(losses)
        self.task_updates[task].update(total, self._final or self.sums is None)
        return self.logs(total)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, with the gradients that wait for a step."""
        state = dict(
            super().state_dict(),
            mask=self.mask.tolist(),
            split=[self.names[param] for param in self.split],
            pending={
                task: {self.names[source]: grad for source, grad in update.pending.items()}
                for task, update in self.task_updates.items()
            },
        )
        if isinstance(self.sums, GradientAggregate):
            state['aggregator'] = torchjd_state(self.sums.combination.aggregator)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of other tasks or optimizers, of tasks in another order, or of
                other filter groups.
        """
        self._check_groups(state_dict)
        super().load_state_dict(state_dict)
        if isinstance(self.sums, GradientAggregate):
            like = any_matrix(self.sums.params[0], len(self.tasks))
            load_aggregator(self.sums.combination.aggregator, state_dict, like)
        sources = {name: source for source, name in self.names.items()}
        for task, update in self.task_updates.items():
            update.pending = {
                sources[name]: grad.to(sources[name].device)
                for name, grad in state_dict['pending'][task].items()
            }

    def _check_groups(self, state_dict: Mapping[str, Any]) -> None:
        """Refuse the optimizer states of other filter groups; earlier versions do not say whose."""
        if state_dict.get('tasks') != self.tasks or 'mask' not in state_dict:
            return  # other tasks are refused anyhow
        remedy = (
            'and the states of its optimizers would go to the filters of other tasks; resume with '
            'the config that wrote it, or start from its weights with load_from'
        )
        theirs = np.array(state_dict['mask'], dtype=bool)
        if not np.array_equal(theirs, self.mask):
            t, other = np.argwhere(theirs != self.mask)[0]
            words = 'may' if theirs[t, other] else 'may not'
            raise ValueError(
                f'the checkpoint has another relation mask (optim_wrapper.relations, threshold): '
                f"there '{self.tasks[other]}' {words} train the filters of '{self.tasks[t]}', "
                f'{remedy}'
            )
        names = [self.names[param] for param in self.split]
        different = sorted({*names} ^ {*state_dict['split']})
        if different:
            raise ValueError(
                f'the checkpoint has other filter groups (optim_wrapper.modules, split_norm): '
                f"'{different[0]}' is split {'here' if different[0] in names else 'there'} alone, "
                f'{remedy}'
            )
