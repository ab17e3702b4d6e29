"""The heads that the paper uses and no toolbox has: attributes, re-identification and parsing.

May import mmpretrain, mmseg, mmcv and the registry.
"""

from .multi_label_conv_head import MultiLabelConvHead
from .reduced_psp_head import ReducedPSPHead
from .reid_head import ReIDHead

__all__ = ['MultiLabelConvHead', 'ReIDHead', 'ReducedPSPHead']
