"""Hooks: what is saved and summed up while the loops run."""

from .checkpoint import AtomicCheckpointHook
from .summary import SummaryHook

__all__ = ['AtomicCheckpointHook', 'SummaryHook']
