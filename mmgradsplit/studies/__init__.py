"""Many trainings by one command, and what is made of them: seeds, comparisons, relations."""

from .comparison import compare_methods
from .relation_estimation import estimate_relations
from .relation_files import compare_relations, sweep_thresholds
from .report import report
from .report_table import RunRow
from .seeds import train_seeds

__all__ = [
    'RunRow',
    'compare_methods',
    'compare_relations',
    'estimate_relations',
    'report',
    'sweep_thresholds',
    'train_seeds',
]
