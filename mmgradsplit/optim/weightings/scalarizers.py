"""TorchJD's scalarizers as weightings."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import broadcast
from torch import Tensor, nn

from mmgradsplit.optim.torchjd_state import load_torchjd_state, torchjd_state
from mmgradsplit.utils import did_you_mean

from .base import StandingWeighting, check_names

TORCHJD = 'torchjd.'
# Of those whose loss is a sum over the tasks; the weights of the others add up to 1.
SUMS = ('Constant', 'DWA', 'IMTLL', 'Sum', 'UW')


def scalarizers() -> list[str]:
    """The names of TorchJD's scalarizers; none where it is not installed."""
    try:
        from torchjd import scalarization  # an optional dependency
    except ImportError:
        return []
    return [name for name in scalarization.__all__ if name != 'Scalarizer']


def scalarizer_needs(method: str) -> frozenset[str]:
    """What a scalarizer of TorchJD has to be told beside the losses, see :class:`Weighting`."""
    from torchjd import scalarization  # an optional dependency

    kind = getattr(scalarization, method, None)
    return frozenset({'losses'} if hasattr(kind, 'update') else ())


class TorchJDWeighting(StandingWeighting):
    """A scalarizer of TorchJD, such as ``UW``: uncertainty weighting with a learned weight a task.

    Its learned weights are in the optimizer of the network. In the log, ``weight/<task>`` is the
    derivative of the loss with respect to the task's: the factor of the task's gradient.

    ``DWA`` is told when an epoch ends, and ``FAMO`` the losses after each update of the network, at
    the price of a forward pass.

    In round-robin training each task step sees the other tasks' latest losses as constants.
    Learned weights (``UW``, ``IMTLL``) then move in every task step, and DWA's means are over
    all task steps.

    Args:
        tasks: Names of the tasks, in order.
        method: Name of the class in ``torchjd.scalarization``.
        start: Where what it learns begins: the log-variances of ``UW``, which LibMTL and MTAN's
            code begin at -0.5, or the logarithms of the scales of ``IMTLL``. A number, or one for
            each task as a list or a mapping; None for TorchJD's 0.
        **options: Its other arguments. A tensor is given as a list, or as a mapping from task to
            number.

    Raises:
        ValueError: If there is no such class, or its arguments do not fit.
    """

    factors: Tensor | None = None

    def __init__(
        self, tasks: Sequence[str], method: str, start: Any = None, **options: Any
    ) -> None:
        super().__init__(tasks)
        from torchjd import scalarization  # an optional dependency

        known = scalarizers()
        if method not in known:
            names = [TORCHJD + name for name in known]
            raise ValueError(
                f"optim_wrapper.weighting.type: TorchJD has no '{method}', only {known}"
                f'{did_you_mean(TORCHJD + method, names)}'
            )
        self.method = method
        kind = getattr(scalarization, method)
        arguments = inspect.signature(kind).parameters
        if 'shape' in arguments:
            options.setdefault('shape', len(self.tasks))
        tensors = {
            name: self._tensor(name, value)
            for name, value in options.items()
            if name in arguments and 'Tensor' in str(arguments[name].annotation)
        }
        try:
            self.scalarizer: Any = kind(**{**options, **tensors})
        except (TypeError, ValueError) as error:
            raise ValueError(
                f'optim_wrapper.weighting ({self}): {error}; its arguments are {list(arguments)}'
            ) from error
        _to_buffers(self.scalarizer, tensors)
        self._begin(start)
        self.needs = scalarizer_needs(method)
        self.sums = method in SUMS

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What the scalarizer makes of the losses of all tasks."""
        values = self.standing(losses)
        if self.method == 'GeometricMean':
            self.check_positive(values)
        self.latest.copy_(values.detach())
        total: Tensor = self._scalarize(values)
        if values.requires_grad:
            (self.factors,) = torch.autograd.grad(total, values, retain_graph=True)
        return total

    def logs(self) -> dict[str, Tensor]:
        """The factor of each task's gradient in the latest step."""
        if self.factors is None:
            return {}
        return {f'weight/{t}': factor for t, factor in zip(self.tasks, self.factors, strict=True)}

    def end_epoch(self) -> None:
        """Let DWA take the mean of the epoch's losses."""
        if hasattr(self.scalarizer, 'step'):
            self.scalarizer.step()

    def revise(self, losses: Mapping[str, Tensor]) -> None:
        """Let FAMO move its logits by what the update made of the losses."""
        self.scalarizer.update(self.standing(losses))

    def get_extra_state(self) -> dict[str, Any]:
        """What the scalarizer remembers outside parameters and buffers."""
        return torchjd_state(self.scalarizer)

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`get_extra_state` returned."""

        def warm_up() -> None:
            self.scalarizer(self.latest)
            if hasattr(self.scalarizer, 'update'):
                self.scalarizer.update(self.latest)

        load_torchjd_state(self.scalarizer, state, self.latest, warm_up, 'weighting')

    def _begin(self, start: Any) -> None:
        """Set what is learned."""
        if start is None:
            return
        learned = list(self.scalarizer.parameters())
        if not learned:
            raise ValueError(f'optim_wrapper.weighting.start: {self} learns nothing; leave it out')
        value = [start] * len(self.tasks) if isinstance(start, int | float) else start
        learned[0].data.copy_(self._tensor('start', value))

    def _scalarize(self, values: Tensor) -> Tensor:
        if self.method != 'Random':
            return self.scalarizer(values)
        # All ranks draw the same weights, those of rank 0.
        seed = torch.randint(2**31, (1,))
        broadcast(seed)
        with torch.random.fork_rng([values.device] if values.is_cuda else []):
            torch.manual_seed(int(seed))
            return self.scalarizer(values)

    def _tensor(self, name: str, value: Any) -> Tensor | None:
        if value is None:
            return None
        if isinstance(value, Mapping):
            check_names(f'optim_wrapper.weighting.{name}', value, self.tasks)
            value = [value[task] for task in self.tasks]
        tensor = torch.as_tensor(value, dtype=torch.float32)
        if tensor.shape != self.latest.shape:
            raise ValueError(
                f'optim_wrapper.weighting.{name} must hold a number for each of the tasks '
                f'{self.tasks}, got {value}'
            )
        return tensor

    def __repr__(self) -> str:
        """The type in the config."""
        return TORCHJD + self.method


def _to_buffers(scalarizer: nn.Module, tensors: Mapping[str, Tensor | None]) -> None:
    """Let constant tensors of a scalarizer move to its device with it."""
    for name, value in tensors.items():
        if name in vars(scalarizer):
            delattr(scalarizer, name)
            scalarizer.register_buffer(name, value, persistent=False)
