"""Data sets and samplers. May import the mathematics and the upstream toolboxes' data sets."""

from .market1501 import Market1501
from .market1501_attributes import Market1501Attributes
from .pa100k import PA100K
from .samplers import RandomIdentitySampler

__all__ = ['PA100K', 'Market1501', 'Market1501Attributes', 'RandomIdentitySampler']
