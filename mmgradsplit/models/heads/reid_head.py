"""The "Conv-BN-FC" head of person re-identification (GradSplit, section 4.1)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

KAIMING = dict(type='Kaiming', layer=['Conv2d', 'Linear'], mode='fan_in')
TRIPLET = dict(type='mmgradsplit.BatchHardTripletLoss', margin=0.3)


@MODELS.register_module()
class ReIDHead(ClsHead):
    """Convolution, norm, ReLU, global average pooling (the embedding), identity classifier.

    Trained with the cross-entropy of the identities plus the batch-hard triplet loss of the
    embeddings (supplement, D.1). Identities of the test set are unknown in training, so the
    prediction is the embedding alone.

    Args:
        in_channels: Channels of the backbone's last feature map.
        conv_channels: Output channels of the convolution, the size of the embedding.
        num_classes: Number of training identities.
        kernel_size: Odd size of the convolution, which keeps the size of the feature map.
        norm_cfg: Norm after the convolution. A batch norm sees the samples of its own process only.
        triplet_loss: Loss of ``(embedding, identity)``; batch-hard with margin 0.3 if not given.
        init_cfg: Initialisation of the layers; Kaiming's, as in the paper, if not given.
        **kwargs: ``loss`` (of the identities) of mmpretrain's ``ClsHead``.

    Example:
        >>> head = ReIDHead(in_channels=512, conv_channels=256, num_classes=751)
        >>> head.pre_logits((torch.rand(2, 512, 8, 4),)).shape
        torch.Size([2, 256])
    """

    def __init__(
        self,
        in_channels: int,
        conv_channels: int,
        num_classes: int,
        kernel_size: int = 1,
        norm_cfg: dict | None = None,
        triplet_loss: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg=init_cfg or KAIMING, **kwargs)
        self.num_classes = num_classes
        self.conv = nn.Conv2d(
            in_channels, conv_channels, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.norm = build_norm_layer(norm_cfg or dict(type='BN'), conv_channels)[1]
        self.fc = nn.Linear(conv_channels, num_classes)
        self.triplet_loss: nn.Module = MODELS.build(triplet_loss or TRIPLET)

    def pre_logits(self, feats: Sequence[Tensor]) -> Tensor:
        """Embed the last feature map: ``[N, in_channels, H, W]`` to ``[N, conv_channels]``."""
        return F.relu(self.norm(self.conv(feats[-1]))).mean((2, 3))

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the logits of the training identities, ``[N, num_classes]``."""
        return self.fc(self.pre_logits(feats))

    def loss(
        self, feats: Sequence[Tensor], data_samples: list[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return ``loss_id`` and ``loss_triplet``, both scalars.

        Args:
            feats: Feature maps of the backbone, the last ``[N, in_channels, H, W]``.
            data_samples: N samples with ``gt_label``, the identity.
            **kwargs: Passed to the identity loss.

        Raises:
            ValueError: If an identity is not below ``num_classes``.
        """
        identities = torch.cat([sample.gt_label for sample in data_samples])
        largest = int(identities.max())
        if largest >= self.num_classes:
            raise ValueError(
                f'ReIDHead has num_classes={self.num_classes}, but the batch holds identity '
                f"{largest}: set the head's num_classes to the data set's num_identities."
            )
        embedding = self.pre_logits(feats)
        return dict(
            loss_id=self._get_loss(self.fc(embedding), data_samples, **kwargs)['loss'],
            loss_triplet=self.triplet_loss(embedding, identities),
        )

    def predict(
        self, feats: Sequence[Tensor], data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Store each image's embedding, ``[conv_channels]`` in float32, as ``embedding``.

        Args:
            feats: Feature maps of the backbone, the last ``[N, in_channels, H, W]``.
            data_samples: N samples to write to; new ones if not given.
        """
        embeddings = self.pre_logits(feats).float()
        if data_samples is None:
            data_samples = [DataSample() for _ in embeddings]
        for sample, embedding in zip(data_samples, embeddings, strict=True):
            sample.set_field(embedding, 'embedding')
        return data_samples
