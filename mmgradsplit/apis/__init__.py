"""What a notebook imports, and the tools call. May import all of mmgradsplit."""

from .evaluate import evaluate
from .inference import load_model, predict_image, predict_to_folder, register_sample_maker
from .preparation import stop_processes
from .train import train

__all__ = [
    'evaluate',
    'load_model',
    'predict_image',
    'predict_to_folder',
    'register_sample_maker',
    'stop_processes',
    'train',
]
