"""Metrics of the tasks, and the evaluator that sums them up.

May import the mathematics, torch and mmengine.
"""

from .attribute_metric import AttributeMetric
from .dense_metrics import DepthErrorMetric, NormalErrorMetric
from .multi_task_evaluator import MultiTaskEvaluator
from .reid_metric import ReIDMetric

__all__ = [
    'AttributeMetric',
    'DepthErrorMetric',
    'MultiTaskEvaluator',
    'NormalErrorMetric',
    'ReIDMetric',
]
