"""Optimizer wrappers: what is made of task losses, weightings, aggregators and GradSplit's mask."""

from .aggregation.wrapper import AggregatorOptimWrapper
from .autocast import AutocastOptimWrapper
from .constructor import MultiTaskOptimWrapperConstructor
from .cos_reg import CosRegOptimWrapper
from .grad_split.constructor import GradSplitOptimWrapperConstructor
from .grad_split.relations import load_changes, load_mask
from .grad_split.wrapper import GradSplitOptimWrapper
from .weightings import (
    AMTLWeighting,
    DTPWeighting,
    GradNormWeighting,
    StandingWeighting,
    TorchJDWeighting,
    UniformWeighting,
    Weighting,
    build_weighting,
)
from .wrapper import MultiTaskOptimWrapper

__all__ = [
    'AMTLWeighting',
    'AggregatorOptimWrapper',
    'AutocastOptimWrapper',
    'CosRegOptimWrapper',
    'DTPWeighting',
    'GradNormWeighting',
    'GradSplitOptimWrapper',
    'GradSplitOptimWrapperConstructor',
    'MultiTaskOptimWrapper',
    'MultiTaskOptimWrapperConstructor',
    'StandingWeighting',
    'TorchJDWeighting',
    'UniformWeighting',
    'Weighting',
    'build_weighting',
    'load_changes',
    'load_mask',
]
