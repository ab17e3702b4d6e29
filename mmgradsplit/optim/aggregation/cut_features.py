"""The graph cut between the backbone and the tasks."""

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
