"""Hooks that measure task gradients beside the training."""

from .conflict_frequency import ConflictFrequencyHook
from .gradient_angles import GradientAngleHook
from .relation_estimate import RelationEstimateHook

__all__ = ['ConflictFrequencyHook', 'GradientAngleHook', 'RelationEstimateHook']
