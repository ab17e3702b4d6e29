"""The heads that the papers use and no toolbox has."""

from .inverted_residual_heads import InvertedResidualAnchorHead, InvertedResidualDecodeHead
from .multi_label_conv_head import MultiLabelConvHead
from .reduced_psp_head import ReducedPSPHead
from .regression_head import RegressionHead
from .reid_head import ReIDHead

__all__ = [
    'InvertedResidualAnchorHead',
    'InvertedResidualDecodeHead',
    'MultiLabelConvHead',
    'ReIDHead',
    'ReducedPSPHead',
    'RegressionHead',
]
