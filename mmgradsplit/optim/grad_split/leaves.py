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
        """Share the storage of ``source`` again, which may have been replaced.

        Raises:
            RuntimeError: If it was replaced by one on another device, or of another type: what the
                optimizer remembers of it does not follow.
        """
        if self.param is self.source or self._is_linked():
            return
        now, then = self.source, self.param
        if (now.device, now.dtype) != (then.device, then.dtype):
            raise RuntimeError(
                f'a parameter that GradSplit trains was moved from {then.device} ({then.dtype}) to '
                f'{now.device} ({now.dtype}) after the optimizer was built, which stays behind; '
                f'move the model before training begins, not in a hook'
            )
        then.data = now.data[self.start : self.stop]

    def _is_linked(self) -> bool:
        # Called before each task step: two numbers are compared, and nothing is made.
        offset = self.start * self.source.stride(0) * self.source.element_size()
        return (
            self.param.data_ptr() == self.source.data_ptr() + offset
            and self.param.stride() == self.source.stride()
        )

    def gradient(self) -> Tensor | None:
        """The part of the source's gradient that belongs to these channels."""
        grad = self.source.grad
        return grad if grad is None or self.param is self.source else grad[self.start : self.stop]
