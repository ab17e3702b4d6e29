"""Task models that find a mark in the network's input, so that geometry is seen by itself.

The mark is a red dot. Nothing here knows of placements: what is found are pixels of the input.
"""

from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

RED = (0, 0, 255)  # BGR


def red_share(inputs: Tensor) -> Tensor:
    """How red each pixel is, shape [N x H x W]; the input is BGR from 0 to 255."""
    return ((inputs[:, 2] - inputs[:, :2].amax(1)) / 255).clamp(min=0)


@MODELS.register_module(force=True)
class Picture(nn.Module):
    """A backbone that hands the picture on."""

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        return (inputs,)


class _PoseHead(nn.Module):
    def predict(self, feats: Any, samples: Any, test_cfg: Any = None) -> list[InstanceData]:
        found = []
        inputs = feats[0] if isinstance(feats[0], Tensor) else feats[0][0]
        for share in red_share(inputs):
            rows, columns = torch.meshgrid(*map(torch.arange, share.shape), indexing='ij')
            total = share.sum()
            point = torch.stack([(columns * share).sum(), (rows * share).sum()]) / total
            keypoints = point.numpy()[None, None].repeat(2, axis=1)
            scores = torch.tensor([[1.0, 0.5]]).numpy()
            found.append(InstanceData(keypoints=keypoints, keypoint_scores=scores))
        return found


@MODELS.register_module(force=True)
class RedPose(TopdownPoseEstimator):
    """Both of two keypoints are in the middle of the dot."""

    def __init__(self, backbone: dict, data_preprocessor: Any = None) -> None:
        codec = dict(type='MSRAHeatmap', input_size=(8, 8), heatmap_size=(8, 8), sigma=1)
        nothing = dict(type='mmpose.HeatmapHead', in_channels=3, out_channels=2,
                       deconv_out_channels=None, decoder=codec)  # fmt: skip
        nothing['loss'] = dict(type='mmpose.KeypointMSELoss')
        super().__init__(backbone, head=nothing, data_preprocessor=data_preprocessor)
        self.head = _PoseHead()


class _LabelHead(nn.Module):
    num_classes, out_channels, align_corners = 2, 2, False

    def predict(self, inputs: Any, metas: Any, test_cfg: Any) -> Tensor:
        share = red_share(inputs[0])
        return torch.stack([1 - share, share], dim=1)


@MODELS.register_module(force=True)
class RedLabels(EncoderDecoder):
    """Class 1 is red."""

    def __init__(self, backbone: dict, data_preprocessor: Any = None) -> None:
        nothing = dict(type='mmseg.FCNHead', in_channels=3, channels=3, num_classes=2,
                       num_convs=0, concat_input=False,
                       loss_decode=dict(type='mmseg.CrossEntropyLoss'))  # fmt: skip
        super().__init__(
            backbone,
            nothing,
            data_preprocessor=data_preprocessor,
            test_cfg=ConfigDict(mode='whole'),
        )
        self.decode_head = _LabelHead()


@MODELS.register_module(force=True)
class RedBoxes(BaseDetector):
    """One box around what is redder than half, and its mask; mmdet's rescaling is written out."""

    def __init__(self, backbone: dict, data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = MODELS.build(backbone)

    def predict(self, inputs: Tensor, samples: list[DetDataSample], rescale: bool = True) -> Any:
        for share, sample in zip(red_share(self.backbone(inputs)[0]), samples, strict=True):
            rows, columns = torch.where(share > 0.5)
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            scale = torch.tensor(sample.scale_factor).repeat(2)
            boxes = (torch.stack(edges) / scale)[None]
            instances = InstanceData(
                bboxes=boxes, scores=torch.ones(1), labels=torch.zeros(1, dtype=torch.long)
            )
            height, width = sample.ori_shape
            y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
            x1, y1, x2, y2 = boxes[0]
            instances.masks = ((x > x1) & (x < x2) & (y > y1) & (y < y2))[None]
            sample.pred_instances = instances
        return samples

    def loss(self, *args: Any) -> dict:
        return {}

    def _forward(self, *args: Any) -> Any:
        return ()

    extract_feat = _forward


PREPROCESSOR = dict(mean=[0.0] * 3, std=[1.0] * 3)
MODEL = dict(
    type='MultiTaskModel',
    backbone=dict(type='Picture'),
    tasks=dict(
        pose=dict(
            type='RedPose', _scope_='mmgradsplit',
            data_preprocessor=dict(type='mmpose.PoseDataPreprocessor', **PREPROCESSOR),
        ),
        parsing=dict(
            type='RedLabels', _scope_='mmgradsplit',
            data_preprocessor=dict(type='mmseg.SegDataPreProcessor', **PREPROCESSOR),
        ),
        boxes=dict(
            type='RedBoxes', _scope_='mmgradsplit',
            data_preprocessor=dict(type='mmdet.DetDataPreprocessor', **PREPROCESSOR),
        ),
    ),
)  # fmt: skip
