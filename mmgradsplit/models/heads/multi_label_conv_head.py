"""The "Conv-FC" head of attribute recognition (GradSplit, section 4.1)."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmpretrain.models.heads import MultiLabelClsHead
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

KAIMING = dict(type='Kaiming', layer=['Conv2d', 'Linear'], mode='fan_in')


@MODELS.register_module()
class MultiLabelConvHead(MultiLabelClsHead):
    """1x1 convolution, ReLU, global average pooling, then one logit for each attribute.

    The loss (binary cross-entropy, summed over attributes and averaged over images) and the
    prediction (``pred_score``, the sigmoid of each logit) are those of mmpretrain's
    ``MultiLabelClsHead``.

    Args:
        in_channels: Channels of the backbone's last feature map.
        conv_channels: Output channels of the convolution.
        num_classes: Number of attributes.
        init_cfg: Initialisation of the layers; Kaiming's, as in the paper, if not given.
        **kwargs: ``loss``, ``thr`` and ``topk`` of ``MultiLabelClsHead``.

    Example:
        >>> head = MultiLabelConvHead(in_channels=512, conv_channels=256, num_classes=26)
        >>> head((torch.rand(2, 512, 8, 4),)).shape
        torch.Size([2, 26])
    """

    def __init__(
        self,
        in_channels: int,
        conv_channels: int,
        num_classes: int,
        init_cfg: dict | list[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg or KAIMING, **kwargs)
        self.num_classes = num_classes
        self.conv = nn.Conv2d(in_channels, conv_channels, 1)
        self.fc = nn.Linear(conv_channels, num_classes)

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """Pool the last feature map: ``[N, in_channels, H, W]`` to ``[N, conv_channels]``."""
        return F.relu(self.conv(feats[-1])).mean((2, 3))

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the logits, ``[N, num_classes]``."""
        return self.fc(self.pre_logits(feats))
