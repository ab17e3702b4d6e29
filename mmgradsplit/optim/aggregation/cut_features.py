"""The graph cut between the backbone and the tasks, and what may hide in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class CutFeatures:
    """Features of a forward pass, and what the tasks get in their place.

    Attributes:
        features: What the backbone returned in each of its passes, where the graph is cut.
        leaves: What the tasks got: the same values, without a graph behind them.
    """

    def __init__(self) -> None:
        self.features: list[list[Tensor]] = []
        self.leaves: list[list[Tensor]] = []

    @contextmanager
    def of(self, backbone: nn.Module) -> Iterator[None]:
        """Within this context, cut the graph behind each pass of the backbone.

        Of features that depend on each other, each then has the gradient that comes from the tasks
        alone.

        Args:
            backbone: The shared backbone.
        """
        hook = backbone.register_forward_hook(self._cut)
        try:
            yield
        finally:
            hook.remove()

    def _cut(self, _: nn.Module, args: tuple, out: Any) -> Any:
        features = [out] if isinstance(out, Tensor) else list(out)
        leaves = [each.detach().requires_grad_(each.requires_grad) for each in features]
        self.features.append(features)
        self.leaves.append(leaves)
        return leaves[0] if isinstance(out, Tensor) else type(out)(leaves)


def is_checkpointed(loss: Tensor) -> bool:
    """Whether parts of the graph hide their parameters: reentrant activation checkpointing.

    Such parts have gradients in a whole backward pass only; ``torch.autograd.grad`` takes their
    parameters for unused.

    Args:
        loss: A loss with its graph.
    """
    left = [loss.grad_fn]
    seen = set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        if type(node).__name__ == 'CheckpointFunctionBackward':
            return True
        seen.add(node)
        left += [following for following, _ in node.next_functions]
    return False
