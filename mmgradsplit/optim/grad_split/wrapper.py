"""GradSplit's update: which parameters a task step moves. May import torch and mmengine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from mmengine.optim import OptimWrapper, OptimWrapperDict
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.optim.aggregation.gradient_sums import GradientAggregate, GradientSum
from mmgradsplit.optim.torchjd_state import aggregator_state, load_aggregator_state
from mmgradsplit.registry import OPTIM_WRAPPERS
from mmgradsplit.utils import unwrapped

from .drop_grad import DropGrad
from .held_gradients import HeldGradients


@dataclass(frozen=True)
class Leaf:
    """What an optimizer holds for the channels ``[start, stop)`` of a parameter.

    Attributes:
        source: The model's parameter, which the forward pass uses.
        start: First channel.
        stop: Channel after the last.
        param: ``source`` itself where the channels are all of it, else a leaf on the same storage.
        holders: The tasks whose steps may move it.
    """

    source: nn.Parameter
    start: int
    stop: int
    param: nn.Parameter
    holders: frozenset[str]

    @classmethod
    def make(cls, source: nn.Parameter, start: int, stop: int, holders: frozenset[str]) -> 'Leaf':
        """A leaf on the storage of ``source``."""
        whole = source.ndim == 0 or (start == 0 and stop == len(source))
        param = source if whole else nn.Parameter(source.data[start:stop])
        return cls(source, start, stop, param, holders)

    def relink(self) -> None:
        """Share the storage of ``source`` again, which may have been replaced."""
        if self.param is not self.source:
            self.param.data = self.source.data[self.start : self.stop]

    def gradient(self) -> Tensor | None:
        """The part of the source's gradient that belongs to these channels."""
        grad = self.source.grad
        return grad if grad is None or self.param is self.source else grad[self.start : self.stop]


class TaskUpdate:
    """Backward pass and update of one task: what ``model.train_step`` gets as its optim wrapper.

    Args:
        task: Name of the task.
        optim_wrapper: mmengine's wrapper with the optimizer that this task steps; it does loss
            scaling, accumulation and clipping.
        leaves: All leaves of the model.
        drop: Drops gradients before they are handed out.
        sums: What becomes of the gradients handed out since the optimizer's last step, shared by
            the tasks that share the optimizer.
        steps: Whether the optimizer steps after this task (Eq. 4's sum: after the last one only).
    """

    def __init__(
        self,
        task: str,
        optim_wrapper: OptimWrapper,
        leaves: Sequence[Leaf],
        drop: DropGrad,
        sums: GradientSum,
        steps: bool,
    ) -> None:
        self.task = task
        self.optim_wrapper = optim_wrapper
        self.sources = list(dict.fromkeys(leaf.source for leaf in leaves))
        self.leaves = [leaf for leaf in leaves if task in leaf.holders]
        self.held_gradients = HeldGradients(self._held_spans())
        self.drop = drop
        self.sums = sums
        self.steps = steps
        # Gradients of this task alone, under accumulation. They return to the sources before the
        # task's next backward pass.
        self.pending: dict[nn.Parameter, Tensor] = {}

    def _held_spans(self) -> dict[nn.Parameter, list[tuple[int, int]]]:
        """Channels that this task may move, of the parameters that it may not move whole."""
        held: dict[nn.Parameter, list[tuple[int, int]]] = {}
        for leaf in self.leaves:
            if leaf.param is not leaf.source:
                held.setdefault(leaf.source, []).append((leaf.start, leaf.stop))
        return {s: h for s, h in held.items() if sum(b - a for a, b in h) < len(s)}

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass: mmengine's (autocast), and HeldGradients."""
        # Without no_sync: under it, DistributedDataParallel would take the parameters that other
        # tasks have used since for this task's. And so all ranks wait with the same gradients,
        # which one checkpoint holds.
        bare = unwrapped(model)
        with self.optim_wrapper.optim_context(bare), self.held_gradients:
            yield

    def update_params(self, loss: Tensor) -> None:
        """Back-propagate ``loss`` and move what a task step of this task may move."""
        wrapper = self.optim_wrapper
        for source, waiting in self.pending.items():
            source.grad = waiting
        self.pending.clear()
        wrapper.backward(wrapper.scale_loss(loss))
        if not wrapper.should_update():
            self.pending.update((s, s.grad) for s in self.sources if s.grad is not None)
            self._clear_sources()
            return
        self.drop()
        found = {leaf.param: leaf.gradient() for leaf in self.leaves}
        self.sums.add(self.task, {p: grad for p, grad in found.items() if grad is not None})
        self._clear_sources()
        if self.steps:
            scaler = getattr(wrapper, 'loss_scaler', None)
            scale = 1.0 if scaler is None else float(scaler.get_scale())
            for param, gradient in self.sums.take(scale).items():
                param.grad = gradient
            wrapper.step()
            wrapper.zero_grad()

    def _clear_sources(self) -> None:
        # A group that may not move must have no gradient: with a zero one, momentum, Adam's
        # state and weight decay would still move it.
        for source in self.sources:
            source.grad = None


@OPTIM_WRAPPERS.register_module()
class GradSplitOptimWrapper(OptimWrapperDict):
    """GradSplit (section 3.1, Eq. 4): a task step moves only the filter groups it does not hurt.

    The optimizers hold one leaf parameter for each span of output channels that the same tasks
    train. A leaf shares the storage of the model's parameter, so the forward pass and the
    ``state_dict`` are those of the multi-head baseline, and what a task may not move is not given a
    gradient: it stays bit for bit as it is.

    ``self[task]`` is what ``model.train_step`` of that task takes. As an ``OptimWrapperDict`` it
    shows the optimizers: one by the name of each task, or a single one named ``shared``.

    Built by :class:`GradSplitOptimWrapperConstructor`, which documents the config.

    Args:
        optim_wrappers: mmengine's wrapper of each optimizer.
        updates: The update of each task.
        leaves: All leaves of the model.
        names: Name of each parameter of the model, for the checkpoint.
        mask: shape [T x T], the relation mask, for pictures and logs.
        changes: shape [T x T], the relative changes behind the mask, if there are any.
        threshold: The threshold of the mask.
        sums: Of the task gradients of a major iteration, where there is one update for all of them.
    """

    def __init__(
        self,
        optim_wrappers: Mapping[str, OptimWrapper],
        updates: Mapping[str, TaskUpdate],
        leaves: Sequence[Leaf],
        names: Mapping[nn.Parameter, str],
        mask: NDArray[np.bool_],
        changes: NDArray[np.float64] | None,
        threshold: float,
        sums: GradientSum | None = None,
    ) -> None:
        super().__init__(**optim_wrappers)
        self.updates = dict(updates)
        self.leaves = list(leaves)
        self.names = dict(names)
        self.mask = mask
        self.changes = changes
        self.threshold = threshold
        self.sums = sums

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks in the order of the filter groups."""
        return list(self.updates)

    def __getitem__(self, task: str) -> TaskUpdate:
        """The update of one task."""
        return self.updates[task]

    def __contains__(self, task: str) -> bool:
        return task in self.updates

    def expect(self, tasks: Sequence[str]) -> None:
        """Tell which tasks have a step before the next update, where one update is for all.

        Args:
            tasks: Their names, in order. Until told otherwise, all tasks have one.
        """
        if self.sums is not None:
            for task, update in self.updates.items():
                update.steps = task == tasks[-1]

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Tell every task's wrapper where training stands; one task step a major iteration."""
        for leaf in self.leaves:
            leaf.relink()
        for update in self.updates.values():
            update.optim_wrapper.initialize_count_status(model, cur_iter, max_iters)

    def state_dict(self) -> dict:
        """States of optimizers and aggregator, the tasks, and gradients that wait for a step."""
        sums = self.sums
        return dict(
            tasks=self.tasks,
            aggregator=aggregator_state(sums.aggregator)
            if isinstance(sums, GradientAggregate)
            else {},
            optimizers=super().state_dict(),
            pending={
                task: {self.names[source]: grad for source, grad in update.pending.items()}
                for task, update in self.updates.items()
            },
        )

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of other tasks or optimizers, or of tasks in another order.
        """
        tasks, optimizers = state_dict.get('tasks'), state_dict.get('optimizers', {})
        if tasks != self.tasks:
            raise ValueError(
                f'the checkpoint has the tasks {tasks}, whose order is that of the filter groups, '
                f'but this config has {self.tasks}; resume with the config that wrote it'
            )
        if set(optimizers) != set(self.optim_wrappers):
            raise ValueError(
                f'the checkpoint has optimizers {sorted(optimizers)}, but this config has '
                f'{sorted(self.optim_wrappers)}; resume with the optim_wrapper that wrote it'
            )
        super().load_state_dict(optimizers)
        if isinstance(self.sums, GradientAggregate):
            load_aggregator_state(
                self.sums.aggregator, state_dict.get('aggregator', {}), self.sums.like
            )
        sources = {name: source for source, name in self.names.items()}
        for task, update in self.updates.items():
            update.pending = {
                sources[name]: grad.to(sources[name].device)
                for name, grad in state_dict['pending'][task].items()
            }
