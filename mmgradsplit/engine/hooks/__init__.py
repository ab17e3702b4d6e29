"""Hooks: what is saved, summed up, measured and drawn while the loops run."""

from .checkpoint import AtomicCheckpointHook
from .conflict_frequency import ConflictFrequencyHook
from .gradient_angles import GradientAngleHook
from .panels import PanelHook
from .relation_estimate import RelationEstimateHook
from .summary import SummaryHook
from .weighting import WeightingHook

__all__ = [
    'AtomicCheckpointHook',
    'ConflictFrequencyHook',
    'GradientAngleHook',
    'PanelHook',
    'RelationEstimateHook',
    'SummaryHook',
    'WeightingHook',
]
