"""Optimizer wrappers: GradSplit, aggregators, CosReg, and mixed precision without loss scaling.

May import the mathematics and mmengine's optimizer interfaces.
"""

from .aggregation.wrapper import AggregatorOptimWrapper
from .autocast import AutocastOptimWrapper
from .cos_reg import CosRegOptimWrapper
from .grad_split.constructor import GradSplitOptimWrapperConstructor
from .grad_split.relations import load_changes, load_mask
from .grad_split.wrapper import GradSplitOptimWrapper
from .mixed_aggregation import AmpAggregatorOptimWrapper, AutocastAggregatorOptimWrapper
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
