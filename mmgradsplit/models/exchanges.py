"""What the tasks exchange between ranks in the forward pass, and a rank that has no sample."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather_object
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode


class Call(NamedTuple):
    """A call of a synchronised norm.

    Attributes:
        norm: Name of the norm in the model.
        dtype: Of the statistics that the ranks exchange.
        backward: Whether they exchange statistics in the backward pass, too.
    """

    norm: str
    dtype: torch.dtype
    backward: bool


class Exchanges:
    """Lets a rank without a sample for a task take part in what the others exchange in its head.

    All ranks have to exchange as often and in the same order, or they wait for each other forever.
    A synchronised norm (torch's ``SyncBatchNorm``) has room for a rank without a sample: it adds
    nothing to the statistics and gets them. So a rank whose samples are not allocated to a task
    calls the norms alone, on nothing, in the order in which the head calls them. The first samples
    of a task show the order. What else a head exchanges, such as its number of positive samples,
    cannot be had from nothing, and is refused before the first step.

    Args:
        own: How the names of modules begin that one task alone uses.
        norms: Whether the model lets such a rank call the norms.

    Attributes:
        calls: The calls in the loss of each task whose order is known.
    """

    def __init__(self, *own: str, norms: bool = True) -> None:
        self.own = own
        self.norms = norms
        self.calls: dict[str, list[Call]] = {}

    def learn(self, model: Any, loss: Callable[[str], Any], given: Mapping[str, bool]) -> None:
        """Find the calls of tasks that are not known yet; all ranks do this together.

        Args:
            model: The model.
            loss: Computes the loss of a task; on ranks with a sample for it.
            given: Whether this rank has a sample, for each task of which any rank has one.

        Raises:
            ValueError: On all ranks, if a task exchanges something else than statistics of norms.
        """
        new = [task for task in given if task not in self.calls]
        if not new:
            return
        found = {task: self._watch(model, loss, task) for task in new if given[task]}
        of_ranks = all_gather_object(found)
        for task in new:
            results = [of[task] for of in of_ranks if task in of]
            for result in results:
                if isinstance(result, str) or result != results[0]:
                    what = result if isinstance(result, str) else 'norms that differ by rank'
                    raise ValueError(
                        f"the loss of task '{task}' exchanges {what} between the processes, which "
                        f'would wait forever for one that has no sample for the task; train with '
                        f"one process, with train_cfg.allocator.type 'FullTask' on samples that "
                        f'are annotated for all tasks, or give the task another head or loss'
                    )
            self.calls[task] = results[0]

    def _watch(self, model: nn.Module, loss: Callable[[str], Any], task: str) -> list[Call] | str:
        """The calls in the loss of a task, or what else it exchanges; the model stays as it is."""
        calls: list[Call] = []
        names = {norm: name for name, norm in model.named_modules()}

        def note(norm: nn.SyncBatchNorm, _: Callable, x: Tensor) -> Tensor:
            if names[norm].startswith(self.own):
                dtype = torch.promote_types(x.dtype, torch.float32)
                calls.append(Call(names[norm], dtype, x.requires_grad))
            return _normalised(norm, x)

        buffers = {buffer: buffer.clone() for buffer in model.buffers()}
        try:
            with _replaced(model, nn.SyncBatchNorm, note), _Alone():
                loss(task)
        except _Exchanged as exchanged:
            return f'tensors ({exchanged})'
        finally:
            for buffer, value in buffers.items():
                buffer.copy_(value)
        if calls and not self.norms:
            return f'the statistics of norms ({", ".join({call.norm: None for call in calls})})'
        return calls

    def idle(self, model: nn.Module, task: str, zero: Tensor) -> Tensor:
        """Take part in the loss of a task without a sample.

        Args:
            model: The model.
            task: Name of the task.
            zero: A scalar zero, which depends on the shared features.

        Returns:
            A scalar zero, in whose backward pass this rank takes part, too.
        """
        if not zero.requires_grad:  # the backbone is not trained
            zero = zero.detach().requires_grad_()
        total = zero
        for name, dtype, backward in self.calls.get(task, ()):
            norm: Any = model.get_submodule(name)
            nothing = zero.new_zeros(0, norm.num_features, 1, 1, dtype=dtype)
            total = total + norm(nothing + zero.to(dtype) if backward else nothing).sum().to(zero)
        return total


@contextmanager
def without_statistics(backbone: nn.Module) -> Iterator[None]:
    """Within this context a pass leaves no statistics behind: neither in norms nor on other ranks.

    Args:
        backbone: The shared backbone, of which other ranks make a pass of their own meanwhile.
    """

    def leave_out(norm: Any, forward: Callable, x: Tensor) -> Tensor:
        out = _normalised(norm, x)
        if not isinstance(norm, nn.SyncBatchNorm):
            return out
        nothing = x[:0].to(torch.promote_types(x.dtype, torch.float32))
        return out + forward(nothing).sum().to(out)

    with _replaced(backbone, _BatchNorm, leave_out):
        yield


@contextmanager
def _replaced(model: nn.Module, kind: type, forward: Callable) -> Iterator[None]:
    """Within this context, norms of a kind that are training compute ``forward(norm, own, x)``."""
    with ExitStack() as stack:
        for norm in model.modules():
            if isinstance(norm, kind) and norm.training:
                vars(norm)['forward'] = partial(forward, norm, norm.forward)
                stack.callback(vars(norm).pop, 'forward')
        yield


def _normalised(norm: Any, x: Tensor) -> Tensor:
    """What a norm makes of ``x``, shape [N x C x ...], by the statistics of this batch alone."""
    return torch.batch_norm(
        x, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, torch.backends.cudnn.enabled
    )


class _Exchanged(Exception):
    """Raised in place of an exchange between ranks; its text is what was exchanged."""


class _Alone(TorchDispatchMode):
    """Within this context, no tensor goes to another rank."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func.namespace in ('c10d', '_c10d_functional'):
            raise _Exchanged(func.name().partition('::')[2].rstrip('_'))
        return func(*args, **(kwargs or {}))
