"""The multi-task network, its heads and losses.

May import the mathematics and the upstream toolboxes' models.
"""

from .heads import MultiLabelConvHead, ReIDHead
from .losses import BatchHardTripletLoss
from .multi_task_model import MultiTaskModel
from .shared_backbone import BackbonePass, SharedBackbone

__all__ = [
    'BackbonePass',
    'BatchHardTripletLoss',
    'MultiLabelConvHead',
    'MultiTaskModel',
    'ReIDHead',
    'SharedBackbone',
]
