"""Loops: which task, and which batch, comes next."""

from .evaluation import MultiTaskTestLoop, MultiTaskValLoop
from .round_robin import RoundRobinTrainLoop

__all__ = ['MultiTaskTestLoop', 'MultiTaskValLoop', 'RoundRobinTrainLoop']
