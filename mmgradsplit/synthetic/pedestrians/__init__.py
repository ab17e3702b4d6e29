"""Procedurally drawn pedestrians, in the formats of PA-100K, Market-1501, MPII and LIP."""

from .make import make_pedestrians
from .names import ATTRIBUTES, JOINTS, PARTS

__all__ = ['ATTRIBUTES', 'JOINTS', 'PARTS', 'make_pedestrians']
