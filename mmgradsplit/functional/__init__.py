"""The mathematics of multi-task training: pure torch and numpy, no toolbox.

May import torch and numpy only.
"""

from .delta_m import delta_m
from .filter_groups import Span, filter_groups, spans
from .relations import relation_mask, relative_change
from .seeds import derive_seed

__all__ = [
    'Span',
    'delta_m',
    'derive_seed',
    'filter_groups',
    'relation_mask',
    'relative_change',
    'spans',
]
