"""Optimizer wrappers: GradSplit, and mixed precision without loss scaling.

May import the mathematics and mmengine's optimizer interfaces.
"""

from .autocast import AutocastOptimWrapper
from .constructor import GradSplitOptimWrapperConstructor
from .grad_split import GradSplitOptimWrapper
from .relations import load_changes, load_mask

__all__ = [
    'AutocastOptimWrapper',
    'GradSplitOptimWrapper',
    'GradSplitOptimWrapperConstructor',
    'load_changes',
    'load_mask',
]
