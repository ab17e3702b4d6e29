"""Loops: which task, and which batch, comes next."""

from .evaluation import MultiTaskTestLoop, MultiTaskValLoop
from .joint import JointTrainLoop
from .round_robin import RoundRobinTrainLoop

__all__ = ['JointTrainLoop', 'MultiTaskTestLoop', 'MultiTaskValLoop', 'RoundRobinTrainLoop']
