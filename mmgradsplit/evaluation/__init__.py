"""Metrics of the tasks, and the evaluator that sums them up."""

from .attribute_metric import AttributeMetric
from .dense_metrics import DepthErrorMetric, NormalErrorMetric
from .directions import lower_is_better
from .multi_task_evaluator import MultiTaskEvaluator
from .references import Reference, direction, read_references
from .reid_metric import ReIDMetric, comparable, ranking_distance
from .voc_metric import PercentVOCMetric

__all__ = [
    'AttributeMetric',
    'DepthErrorMetric',
    'MultiTaskEvaluator',
    'NormalErrorMetric',
    'PercentVOCMetric',
    'ReIDMetric',
    'Reference',
    'comparable',
    'direction',
    'lower_is_better',
    'ranking_distance',
    'read_references',
]
