"""The PSP head of human parsing on few channels (GradSplit, section 4.1)."""

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import PSPHead
from torch import Tensor

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class ReducedPSPHead(PSPHead):
    """1x1 convolution of the feature map to ``channels``, then mmseg's ``PSPHead`` on these.

    A ``PSPHead`` of 512 channels has 12.9M parameters on ResNet-18 and 23.1M on ResNet-50. The
    paper's parsing heads have about 13M and 14M (docs/complexity.md), which the reduction gives.

    Args:
        in_channels: Channels of the feature map that the head reads.
        channels: Channels of the reduction and of everything after it.
        **kwargs: The other arguments of mmseg's ``PSPHead``, for a single feature map.

    Example:
        >>> head = ReducedPSPHead(in_channels=2048, channels=512, num_classes=20)
        >>> head([torch.rand(2, 2048, 18, 18)]).shape
        torch.Size([2, 20, 18, 18])
    """

    def __init__(self, in_channels: int, channels: int, **kwargs: Any) -> None:
        super().__init__(in_channels=channels, channels=channels, **kwargs)
        self.reduction = ConvModule(
            in_channels,
            channels,
            1,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def _transform_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        """Select the feature map, [N x in_channels x H x W], and reduce it to ``channels``."""
        return self.reduction(super()._transform_inputs(inputs))
