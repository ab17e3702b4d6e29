"""Many trainings by one command, and what is made of them: seeds, comparisons, relations."""

from .comparison import compare_methods
from .relation_agreement import compare_relations
from .relation_estimation import estimate_relations
from .report import report
from .seeds import train_seeds
from .threshold_sweep import sweep_thresholds

__all__ = [
    'compare_methods',
    'compare_relations',
    'estimate_relations',
    'report',
    'sweep_thresholds',
    'train_seeds',
]
