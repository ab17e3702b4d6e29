"""Weightings: how task losses become one loss."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmgradsplit.registry import WEIGHTINGS
from mmgradsplit.utils import did_you_mean

from .achievement import AMTLWeighting, DTPWeighting
from .base import StandingWeighting, UniformWeighting, Weighting
from .grad_norm import GradNormWeighting
from .scalarizers import TORCHJD, TorchJDWeighting, scalarizer_needs, scalarizers

__all__ = [
    'AMTLWeighting',
    'DTPWeighting',
    'GradNormWeighting',
    'StandingWeighting',
    'TorchJDWeighting',
    'UniformWeighting',
    'Weighting',
    'build_weighting',
    'weighting_class',
    'weighting_needs',
]


def build_weighting(
    cfg: Mapping | None, tasks: Sequence[str], loss_weights: Mapping[str, float] | None = None
) -> Weighting:
    """Build ``optim_wrapper.weighting``.

    Args:
        cfg: ``dict(type='UniformWeighting', ...)``, ``dict(type='torchjd.UW', ...)``, …; by
            default uniform.
        tasks: Names of the tasks, in order.
        loss_weights: ``lambda_t`` by task where it is uniform by default.

    Raises:
        ValueError: If there is no such weighting, or its arguments do not fit.
    """
    if cfg is None:
        return UniformWeighting(tasks, loss_weights)
    options = dict(cfg)
    kind = options.get('type')
    if isinstance(kind, str) and kind.startswith(TORCHJD):
        del options['type']
        return TorchJDWeighting(tasks, kind.removeprefix(TORCHJD), **options)
    if kind is None or (isinstance(kind, str) and WEIGHTINGS.get(kind) is None):
        known = sorted(WEIGHTINGS.module_dict) + [TORCHJD + name for name in scalarizers()]
        raise ValueError(
            f"optim_wrapper.weighting.type: there is no weighting '{kind}', only {known}"
            f'{did_you_mean(str(kind), known)}'
        )
    try:
        return WEIGHTINGS.build(dict(options, tasks=list(tasks)))
    except TypeError as error:  # mmengine's, of arguments that are missing or unknown
        raise ValueError(f'optim_wrapper.weighting: {error}') from error


def weighting_class(kind: Any) -> type[Weighting] | None:
    """The class of ``optim_wrapper.weighting.type``, or None where there is none."""
    if isinstance(kind, str):
        return TorchJDWeighting if kind.startswith(TORCHJD) else WEIGHTINGS.get(kind)
    return kind


def weighting_needs(cfg: Mapping | None) -> frozenset[str]:
    """What the weighting of a config has to be told beside the losses, see :class:`Weighting`."""
    kind = (cfg or {}).get('type')
    if isinstance(kind, str) and kind.startswith(TORCHJD):
        return scalarizer_needs(kind.removeprefix(TORCHJD))
    return getattr(weighting_class(kind), 'needs', frozenset())
