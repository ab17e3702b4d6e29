"""Measures a network or a config: conflicts and angles of gradients, look-ahead, complexity."""

from .angle_distributions import gradient_angles
from .complexity import measure_complexity
from .complexity_report import report_complexity, report_published
from .conflict_maps import conflict_maps
from .hooks import ConflictFrequencyHook, GradientAngleHook, RelationEstimateHook

__all__ = [
    'ConflictFrequencyHook',
    'GradientAngleHook',
    'RelationEstimateHook',
    'conflict_maps',
    'gradient_angles',
    'measure_complexity',
    'report_complexity',
    'report_published',
]
