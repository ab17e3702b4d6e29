"""Hooks: what is shown, saved and summed up while the loops run."""

from .checkpoint import AtomicCheckpointHook
from .overview import OverviewHook
from .summary import SummaryHook

__all__ = ['AtomicCheckpointHook', 'OverviewHook', 'SummaryHook']
