"""Weightings: how task losses become one loss. May import torch, TorchJD and the registry."""

import difflib
import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

TORCHJD = 'torchjd.'


class Weighting(nn.Module):
    """Base of the weightings.

    Args:
        tasks: Names of the tasks, in order.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = list(tasks)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One loss.

        Args:
            losses: The loss of each task that has a sample, a scalar each.
        """
        raise NotImplementedError


@MODELS.register_module()
class UniformWeighting(Weighting):
    """``1/T * sum_t lambda_t l_t`` (STA, Algorithm 1). A task without a sample adds nothing.

    Args:
        tasks: Names of the tasks, in order.
        weights: ``lambda_t`` by task, for those that are not 1.

    Raises:
        ValueError: If a weight is of no task.
    """

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.weights = dict(weights or {})
        unknown = sorted(set(self.weights) - set(self.tasks))
        if unknown:
            raise ValueError(
                f'model.weighting.weights names {unknown}, but the tasks are {self.tasks}'
            )

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean over all tasks."""
        terms = [self.weights.get(task, 1.0) * loss for task, loss in losses.items()]
        return torch.stack(terms).sum() / len(self.tasks)


class TorchJDWeighting(Weighting):
    """A scalarizer of TorchJD, such as ``UW``: uncertainty weighting with a learned weight a task.

    A task without a sample stands with its latest loss, as a constant: it does not train the
    network, and learned weights see what they saw last.

    Args:
        tasks: Names of the tasks, in order.
        method: Name of the class in ``torchjd.scalarization``.
        **options: Its other arguments.

    Raises:
        ValueError: If there is no such class.
    """

    latest: Tensor

    def __init__(self, tasks: Sequence[str], method: str, **options: object) -> None:
        super().__init__(tasks)
        from torchjd import scalarization  # an optional dependency

        known = [name for name in scalarization.__all__ if name != 'Scalarizer']
        if method not in known:
            near = difflib.get_close_matches(method, known, n=1)
            hint = f"; did you mean '{TORCHJD}{near[0]}'?" if near else ''
            raise ValueError(f"model.weighting.type: TorchJD has no '{method}', only {known}{hint}")
        kind = getattr(scalarization, method)
        if 'shape' in inspect.signature(kind).parameters:
            options.setdefault('shape', len(self.tasks))
        self.scalarizer = kind(**options)
        self.register_buffer('latest', torch.zeros(len(self.tasks)))

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What the scalarizer makes of the losses of all tasks."""
        values = [losses.get(task, self.latest[i]) for i, task in enumerate(self.tasks)]
        stacked = torch.stack([value.float() for value in values])
        self.latest.copy_(stacked.detach())
        return self.scalarizer(stacked)


def build_weighting(cfg: Mapping | None, tasks: Sequence[str]) -> Weighting:
    """Build ``model.weighting``.

    Args:
        cfg: ``dict(type='UniformWeighting', ...)``, ``dict(type='torchjd.UW', ...)``, …; by
            default uniform.
        tasks: Names of the tasks, in order.
    """
    options = dict(cfg or dict(type='UniformWeighting'))
    kind = str(options['type'])
    if kind.startswith(TORCHJD):
        del options['type']
        return TorchJDWeighting(tasks, kind.removeprefix(TORCHJD), **options)
    return MODELS.build(dict(options, tasks=list(tasks)))
