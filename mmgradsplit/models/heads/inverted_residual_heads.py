"""Heads of a few inverted residual blocks: boxes, and a value or class for each pixel."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import AnchorHead
from mmengine.model import Sequential
from mmpretrain.models.utils import InvertedResidual
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmgradsplit.registry import MODELS

# Levels share the blocks, but not their statistics: the running ones of a batch norm would fit none
# of them (EfficientDet has batch norms of each level).
GN = dict(type='GN', num_groups=32)
RELU6 = dict(type='ReLU6')
# A focal loss starts from rare objects, as in mmdet's RetinaHead.
RARE = dict(
    type='Normal',
    layer='Conv2d',
    std=0.01,
    override=dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01),
)


def inverted_residuals(
    in_channels: int,
    channels: int,
    number: int,
    expand_ratio: int,
    norm_cfg: dict | None,
    act_cfg: dict,
) -> Sequential:
    """Inverted residual blocks one after another, as MobileNetV2's (AMTL, supplement C.2).

    Args:
        in_channels: Channels of the input.
        channels: Channels after each block.
        number: Number of blocks.
        expand_ratio: Channels inside a block by those of its input.
        norm_cfg: Norm after each convolution.
        act_cfg: Activation after the norms inside a block.
    """
    ends = [in_channels] + [channels] * (number - 1)
    return Sequential(
        *(
            InvertedResidual(end, channels, end * expand_ratio, norm_cfg=norm_cfg, act_cfg=act_cfg)
            for end in ends
        )
    )


@MODELS.register_module()
class InvertedResidualAnchorHead(AnchorHead):
    """mmdet's ``AnchorHead`` behind inverted residual blocks, which all levels share.

    Args:
        num_classes: Number of classes, without background.
        in_channels: Channels of every level, and of the blocks.
        num_blocks: Number of blocks.
        expand_ratio: Channels inside a block by ``in_channels``.
        norm_cfg: Norm of the blocks.
        act_cfg: Activation of the blocks.
        init_cfg: Initialisation of the predicting layers; by default as in mmdet's ``RetinaHead``.
        **kwargs: Other arguments of mmdet's ``AnchorHead``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_blocks: int = 2,
        expand_ratio: int = 6,
        norm_cfg: dict | None = GN,
        act_cfg: dict = RELU6,
        init_cfg: Any = RARE,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, init_cfg=init_cfg, **kwargs)
        self.blocks = inverted_residuals(
            in_channels, in_channels, num_blocks, expand_ratio, norm_cfg, act_cfg
        )

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and box deltas of one level, of ``A`` anchors a place.

        Args:
            x: shape [N x in_channels x H x W].

        Returns:
            shapes [N x A num_classes x H x W] and [N x 4 A x H x W].
        """
        return super().forward_single(self.blocks(x))


@MODELS.register_module()
class InvertedResidualDecodeHead(BaseDecodeHead):
    """Inverted residual blocks, then a 1x1 convolution: a decode head of mmseg.

    Args:
        num_blocks: Number of blocks.
        expand_ratio: Channels inside a block by those of its input.
        **kwargs: Arguments of mmseg's ``BaseDecodeHead``; ``channels`` are those after each block.
    """

    def __init__(self, num_blocks: int = 2, expand_ratio: int = 6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = inverted_residuals(
            self.in_channels, self.channels, num_blocks, expand_ratio, self.norm_cfg, self.act_cfg
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """From the levels, [N x C_l x H_l x W_l], to logits or values, [N x K x H x W]."""
        return self.cls_seg(self.blocks(self._transform_inputs(inputs)))
