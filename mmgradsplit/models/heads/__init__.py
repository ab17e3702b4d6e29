"""The heads that the paper uses and no toolbox has: attributes and re-identification.

May import mmpretrain, mmcv and the registry.
"""

from .multi_label_conv_head import MultiLabelConvHead
from .reid_head import ReIDHead

__all__ = ['MultiLabelConvHead', 'ReIDHead']
