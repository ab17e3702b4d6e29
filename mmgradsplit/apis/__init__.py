"""What a notebook imports, and the tools call. May import all of mmgradsplit."""

from .evaluate import evaluate
from .train import train

__all__ = ['evaluate', 'train']
