"""Hooks: what is saved, summed up and drawn while the loops run."""

from .checkpoint import AtomicCheckpointHook

__all__ = ['AtomicCheckpointHook']
