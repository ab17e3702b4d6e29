"""Backward pass and update of one task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.optim.aggregation.gradient_sums import GradientSum
from mmgradsplit.optim.gradients import average_gradients, loss_scale, trained
from mmgradsplit.utils import also_recomputed, unwrapped

from .drop_grad import DropGrad
from .held_gradients import HeldGradients
from .leaves import Leaf


class TaskUpdate:
    """Back-propagates the loss of one task, and moves what its task step may move.

    Args:
        task: Name of the task.
        optim_wrapper: mmengine's wrapper with the optimizer that this task steps; it does loss
            scaling, accumulation and clipping.
        leaves: All leaves of the model, and of learned weights.
        learned: Learned weights, whose gradients DistributedDataParallel does not average.
        drop: Drops gradients before they are handed out.
        sums: What becomes of the gradients handed out since the optimizer's last step, shared by
            the tasks that share the optimizer.
    """

    def __init__(
        self,
        task: str,
        optim_wrapper: OptimWrapper,
        leaves: Sequence[Leaf],
        learned: Sequence[nn.Parameter],
        drop: DropGrad,
        sums: GradientSum,
    ) -> None:
        self.task = task
        self.optim_wrapper = optim_wrapper
        self.sources = list(dict.fromkeys(leaf.source for leaf in leaves))
        self.leaves = [leaf for leaf in leaves if task in leaf.holders]
        self.learned = list(learned)
        self.held_gradients = HeldGradients(self._held_spans())
        self.drop = drop
        self.sums = sums
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
        held = also_recomputed(lambda: self.held_gradients.of(bare))
        with self.optim_wrapper.optim_context(bare), held:
            yield

    def update(self, loss: Tensor, steps: bool) -> None:
        """Back-propagate a loss and move what a task step of this task may move.

        Args:
            loss: The loss.
            steps: Whether the optimizer steps after it (Eq. 4's sum: after the last task only).
        """
        wrapper = self.optim_wrapper
        for source, waiting in self.pending.items():
            source.grad = waiting
        self.pending.clear()
        wrapper.backward(wrapper.scale_loss(loss))
        if not wrapper.should_update():
            self.pending.update((s, s.grad) for s in self.sources if s.grad is not None)
            self._clear_sources()
            return
        average_gradients(trained(self.learned))
        self.drop()
        found = {leaf.param: leaf.gradient() for leaf in self.leaves}
        self.sums.add(self.task, {p: grad for p, grad in found.items() if grad is not None})
        self._clear_sources()
        if steps:
            for param, gradient in self.sums.take(lambda: loss_scale(wrapper)).items():
                param.grad = gradient
            wrapper.step()
            wrapper.zero_grad()

    def _clear_sources(self) -> None:
        # A group that may not move must have no gradient: with a zero one, momentum, Adam's
        # state and weight decay would still move it.
        for source in self.sources:
            source.grad = None
