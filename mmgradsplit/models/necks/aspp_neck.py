"""Atrous spatial pyramid pooling as a neck."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor
from torchvision.models.segmentation.deeplabv3 import ASPP

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class ASPPNeck(BaseModule):
    """torchvision's ASPP behind a backbone (AMTL, supplement A.1 and B.5).

    In a :class:`BackboneWithNeck` all tasks share one; as the ``neck`` of a task's mmseg model it
    is the task's own. The batch norm of the pooled image is over one value an image, so training
    needs batches of two at least.

    Args:
        in_channels: Channels of the backbone's last feature map.
        channels: Channels of each branch and of the output.
        dilations: Rates of the 3x3 branches, besides a 1x1 branch and the pooled image.
        dropout: Dropout behind the projection; AMTL's Table I compares 0.5 with none.
        low_level: For DeepLabV3+, the feature map that keeps more detail: ``index`` of it among the
            backbone's outputs, its ``in_channels``, and the ``channels`` that a 1x1 convolution
            makes of it. None for DeepLabV3.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If ``low_level`` has other keys than these.

    Example:
        >>> neck = dict(type='ASPPNeck', in_channels=2048)
        >>> plus = dict(neck, low_level=dict(index=0, in_channels=512, channels=256))
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 256,
        dilations: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
        low_level: Mapping[str, int] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.low_level: ConvModule | None = None
        if low_level is not None:
            keys = {'index', 'in_channels', 'channels'}
            if set(low_level) != keys:
                raise ValueError(
                    f'neck.low_level must have the keys {sorted(keys)}, got {sorted(low_level)}'
                )
            self.index = low_level['index']
            self.low_level = ConvModule(
                low_level['in_channels'], low_level['channels'], 1, norm_cfg=dict(type='BN')
            )
        # After the other, so that its projection is the last layer that tasks share.
        self.aspp = ASPP(in_channels, list(dilations), channels)
        self.aspp.project[-1].p = dropout

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pool the last feature map.

        Args:
            features: The backbone's feature maps, the last one [N x in_channels x h x w].

        Returns:
            ASPP's output, [N x channels x h x w]; with ``low_level`` before it the map of more
            detail, at its own resolution.
        """
        pooled = self.aspp(features[-1])
        if self.low_level is None:
            return (pooled,)
        return self.low_level(features[self.index]), pooled
