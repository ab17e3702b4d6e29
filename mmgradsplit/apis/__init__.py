"""What a notebook calls: train, test, predict, load, and the preparation of a config."""

from mmgradsplit.utils import trust_checkpoints

from .evaluate import evaluate
from .inference import load_model, predict_image, register_sample_maker
from .preparation import stop_processes
from .tasks import select_tasks
from .train import train

__all__ = [
    'evaluate',
    'load_model',
    'predict_image',
    'register_sample_maker',
    'select_tasks',
    'stop_processes',
    'train',
    'trust_checkpoints',
]
