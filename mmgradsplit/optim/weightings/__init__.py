"""Weightings: how task losses become one loss. May import torch, TorchJD and the registry."""

import difflib
from collections.abc import Mapping, Sequence

from mmgradsplit.registry import MODELS

from .achievement import AMTLWeighting, DTPWeighting
from .base import StandingWeighting, UniformWeighting, Weighting
from .grad_norm import GradNormWeighting
from .scalarizers import TORCHJD, TorchJDWeighting, scalarizers

__all__ = [
    'AMTLWeighting',
    'DTPWeighting',
    'GradNormWeighting',
    'StandingWeighting',
    'TorchJDWeighting',
    'UniformWeighting',
    'Weighting',
    'build_weighting',
]


def build_weighting(cfg: Mapping | None, tasks: Sequence[str]) -> Weighting:
    """Build ``model.weighting``.

    Args:
        cfg: ``dict(type='UniformWeighting', ...)``, ``dict(type='torchjd.UW', ...)``, …; by
            default uniform.
        tasks: Names of the tasks, in order.

    Raises:
        ValueError: If there is no such weighting, or its arguments do not fit.
    """
    options = dict(cfg or dict(type='UniformWeighting'))
    kind = options.get('type')
    if isinstance(kind, str) and kind.startswith(TORCHJD):
        del options['type']
        return TorchJDWeighting(tasks, kind.removeprefix(TORCHJD), **options)
    if kind is None or (isinstance(kind, str) and MODELS.get(kind) is None):
        raise ValueError(_unknown(kind))
    try:
        return MODELS.build(dict(options, tasks=list(tasks)))
    except TypeError as error:  # mmengine's, of arguments that are missing or unknown
        raise ValueError(f'model.weighting: {error}') from error


def _unknown(kind: str | None) -> str:
    ours = [
        name
        for name, known in MODELS.module_dict.items()
        if isinstance(known, type) and issubclass(known, Weighting)
    ]
    known = sorted(ours) + [TORCHJD + name for name in scalarizers()]
    short = {name.removeprefix(TORCHJD).removesuffix('Weighting').lower(): name for name in known}
    wanted = str(kind).removesuffix('Weighting').lower()
    near = difflib.get_close_matches(wanted, short, n=1)
    hint = f"; did you mean '{short[near[0]]}'?" if near else ''
    return f"model.weighting.type: there is no weighting '{kind}', only {known}{hint}"
