"""The multi-task network, its heads and losses."""

from .backbone_with_neck import BackboneWithNeck
from .dense_regressor import DenseRegressor
from .heads import (
    InvertedResidualAnchorHead,
    InvertedResidualDecodeHead,
    MultiLabelConvHead,
    RegressionHead,
    ReIDHead,
)
from .joined_data_preprocessor import JoinedDataPreprocessor
from .losses import BatchHardTripletLoss, SmoothCrossEntropyLoss
from .multi_task_model import MultiTaskModel
from .necks import ASPPNeck, BiFPN
from .pretrained import FittingPretrainedInit
from .resnet_plus import ResNetPlus
from .resnet_stage import ResNetStage
from .seg_net import SegNetEncoder, SegNetHead
from .shared_backbone import BackbonePass, SharedBackbone
from .sta_mask_rcnn import STAMaskRCNN, STARoIHead, STARPNHead
from .task_losses import MultiTaskDistributedDataParallel, TaskLosses
from .task_norm import TaskNorm

__all__ = [
    'ASPPNeck',
    'BackbonePass',
    'BackboneWithNeck',
    'BatchHardTripletLoss',
    'BiFPN',
    'DenseRegressor',
    'FittingPretrainedInit',
    'InvertedResidualAnchorHead',
    'InvertedResidualDecodeHead',
    'JoinedDataPreprocessor',
    'MultiLabelConvHead',
    'MultiTaskDistributedDataParallel',
    'MultiTaskModel',
    'ReIDHead',
    'RegressionHead',
    'ResNetPlus',
    'ResNetStage',
    'STAMaskRCNN',
    'STARPNHead',
    'STARoIHead',
    'SegNetEncoder',
    'SegNetHead',
    'SharedBackbone',
    'SmoothCrossEntropyLoss',
    'TaskLosses',
    'TaskNorm',
]
