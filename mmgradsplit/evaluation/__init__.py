"""Metrics of the tasks, and the evaluator that sums them up."""

from .attribute_metric import AttributeMetric
from .dense_metrics import DepthErrorMetric, NormalErrorMetric
from .multi_task_evaluator import MultiTaskEvaluator
from .reid_metric import ReIDMetric, comparable, ranking_distance
from .voc_metric import PercentVOCMetric

__all__ = [
    'AttributeMetric',
    'DepthErrorMetric',
    'MultiTaskEvaluator',
    'NormalErrorMetric',
    'PercentVOCMetric',
    'ReIDMetric',
    'comparable',
    'ranking_distance',
]
