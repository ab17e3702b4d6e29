"""Optimizer wrappers: GradSplit, aggregators, CosReg, and mixed precision without loss scaling.

May import the mathematics and mmengine's optimizer interfaces.
"""

from .aggregation import AggregatorOptimWrapper
from .autocast import AutocastOptimWrapper
from .constructor import GradSplitOptimWrapperConstructor
from .cos_reg import CosRegOptimWrapper
from .grad_split import GradSplitOptimWrapper
from .mixed_aggregation import AmpAggregatorOptimWrapper, AutocastAggregatorOptimWrapper
from .relations import load_changes, load_mask
from .task_gradient_constructor import TaskGradientOptimWrapperConstructor

__all__ = [
    'AggregatorOptimWrapper',
    'AmpAggregatorOptimWrapper',
    'AutocastAggregatorOptimWrapper',
    'AutocastOptimWrapper',
    'CosRegOptimWrapper',
    'GradSplitOptimWrapper',
    'GradSplitOptimWrapperConstructor',
    'TaskGradientOptimWrapperConstructor',
    'load_changes',
    'load_mask',
]
