"""Loops and hooks: which task, which batch, and what is watched."""

from .allocators import ISTA, STA, Allocator, FullTask
from .hooks import AtomicCheckpointHook, SummaryHook
from .loops import JointTrainLoop, MultiTaskTestLoop, MultiTaskValLoop, RoundRobinTrainLoop

__all__ = [
    'ISTA',
    'STA',
    'Allocator',
    'AtomicCheckpointHook',
    'FullTask',
    'JointTrainLoop',
    'MultiTaskTestLoop',
    'MultiTaskValLoop',
    'RoundRobinTrainLoop',
    'SummaryHook',
]
