"""What a notebook imports, and the tools call. May import all of mmgradsplit."""

from .comparison import compare_methods
from .complexity import measure_complexity
from .complexity_report import report_complexity, report_published
from .conflicts import conflict_maps
from .evaluate import evaluate
from .gradient_angles import gradient_angles
from .inference import load_model, predict_image, predict_to_folder, register_sample_maker
from .preparation import stop_processes
from .relation_agreement import compare_relations
from .relation_estimation import estimate_relations
from .report import report
from .seeds import train_seeds
from .tasks import select_tasks
from .threshold_sweep import sweep_thresholds
from .train import train

__all__ = [
    'compare_methods',
    'compare_relations',
    'conflict_maps',
    'estimate_relations',
    'evaluate',
    'gradient_angles',
    'load_model',
    'measure_complexity',
    'predict_image',
    'predict_to_folder',
    'register_sample_maker',
    'report',
    'report_complexity',
    'report_published',
    'select_tasks',
    'stop_processes',
    'sweep_thresholds',
    'train',
    'train_seeds',
]
