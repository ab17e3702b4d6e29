"""Measures a network or a config: conflicts and angles of gradients, look-ahead, complexity."""

from .angle_distributions import gradient_angles
from .complexity import measure_complexity
from .complexity_report import report_complexity
from .conflict_maps import conflict_maps
from .data_check import check_data
from .hooks import ConflictFrequencyHook, GradientAngleHook, RelationEstimateHook
from .hooks.measurement import MeasurementHook, SeriesHook
from .task_gradients import module_parameters, preprocessed, task_gradients

__all__ = [
    'ConflictFrequencyHook',
    'GradientAngleHook',
    'MeasurementHook',
    'RelationEstimateHook',
    'SeriesHook',
    'check_data',
    'conflict_maps',
    'gradient_angles',
    'measure_complexity',
    'module_parameters',
    'preprocessed',
    'report_complexity',
    'task_gradients',
]
