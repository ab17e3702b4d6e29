"""Metrics of the tasks, and the evaluator that sums them up.

May import the mathematics and mmengine.
"""

from .attribute_metric import AttributeMetric
from .multi_task_evaluator import MultiTaskEvaluator
from .reid_metric import ReIDMetric

__all__ = ['AttributeMetric', 'MultiTaskEvaluator', 'ReIDMetric']
