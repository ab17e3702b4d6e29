"""Hooks: what is shown, saved and summed up while the loops run."""

from .checkpoint import AtomicCheckpointHook
from .overview import OverviewHook
from .summary import SummaryHook
from .task_switch import TaskSwitchHook

__all__ = ['AtomicCheckpointHook', 'OverviewHook', 'SummaryHook', 'TaskSwitchHook']
