"""Hooks: what is saved, summed up and drawn while the loops run."""

from .checkpoint import AtomicCheckpointHook
from .panels import PanelHook
from .summary import SummaryHook

__all__ = ['AtomicCheckpointHook', 'PanelHook', 'SummaryHook']
