"""What an optimizer holds for a filter group: a leaf on the storage of the model's parameter."""

from dataclasses import dataclass

from torch import Tensor, nn


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
