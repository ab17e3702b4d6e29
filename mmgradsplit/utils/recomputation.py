"""Activation checkpointing (``with_cp``) in whose backward pass all is as it was in the forward."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint as checkpointing

Make = Callable[[], AbstractContextManager]

# What updates running statistics, and where they are among its arguments.
PLACES: dict[Callable, int] = {
    functional.batch_norm: 1,
    torch.batch_norm_gather_stats_with_counts: 3,  # of synchronised norms
}

# What makes the contexts that are active now, outermost first.
_active: list[Make] = []


@contextmanager
def also_recomputed(make: Make) -> Iterator[None]:
    """Enter a context; what is checkpointed in it is computed again in such a context, too.

    Args:
        make: Makes the context, each time that it is entered.
    """
    with make():
        _active.append(make)
        try:
            yield
        finally:
            _active.pop()


@contextmanager
def non_reentrant() -> Iterator[None]:
    """Within this context, checkpointing of the toolboxes is torch's non-reentrant one.

    The toolboxes do not say which of torch's two variants they mean, and get the old one. It hides
    the parameters from the graph: DistributedDataParallel, which looks there for the parameters
    that a step uses, then ends in "marked ready twice", and the gradient of one task of several
    cannot be taken. The other variant has the same gradients, bit for bit, and neither fault.
    """
    original = checkpointing.checkpoint

    def checkpoint(
        function: Callable, *args: Any, use_reentrant: bool | None = None, **kwargs: Any
    ) -> Any:
        if use_reentrant is None:
            use_reentrant = False
            kwargs.setdefault('context_fn', _contexts)
        return original(function, *args, use_reentrant=use_reentrant, **kwargs)

    checkpointing.checkpoint = checkpoint
    try:
        yield
    finally:
        checkpointing.checkpoint = original


def _contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Contexts of the first computation of a checkpointed part, and of all later ones."""
    return nullcontext(), _Again(tuple(_active))


class _Again(AbstractContextManager):
    """The contexts of the first computation; each backward pass through a graph enters them."""

    def __init__(self, makes: tuple[Make, ...]) -> None:
        self.makes = makes

    def __enter__(self) -> None:
        self.stack = ExitStack()
        self.stack.enter_context(_StatisticsStay())
        for make in self.makes:
            self.stack.enter_context(make())

    def __exit__(self, *error: Any) -> bool | None:
        return self.stack.__exit__(*error)


class _StatisticsStay(TorchFunctionMode):
    """Within this context batch norms leave their running statistics, which have seen the batch."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func in PLACES:
            place = PLACES[func]
            copies = (None if each is None else each.clone() for each in args[place : place + 2])
            args = (*args[:place], *copies, *args[place + 2 :])
        elif func is Tensor.add_ and args[0].dtype == torch.int64 and not args[0].ndim:
            return args[0]  # num_batches_tracked
        return func(*args, **(kwargs or {}))


def hides_parameters(loss: Tensor) -> bool:
    """Whether parts of the graph hide their parameters: reentrant activation checkpointing.

    Such parts have gradients in a whole backward pass only; ``torch.autograd.grad`` takes their
    parameters for unused, and so does DistributedDataParallel.

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
