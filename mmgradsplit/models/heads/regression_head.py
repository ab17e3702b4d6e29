"""Regression of a number, or a vector, for each pixel by any of mmseg's decode heads."""

from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class RegressionHead(BaseModule):
    """A decode head of mmseg whose outputs are values, in place of scores of classes.

    A pixel whose annotation is NaN, and padding, is not trained on.

    Args:
        field: The data sample's annotation, such as ``gt_depth_map``, ``[K x H x W]``.
        head: Config of the decode head, looked up in mmseg, with K as ``num_classes``; its own loss
            is not used.
        loss: Config of a loss of prediction and target, both ``[P x K]`` for P pixels, such as
            ``mmdet.L1Loss`` or ``mmpretrain.CosineSimilarityLoss``.
        loss_name: Name in the logs; it must contain ``loss``.
        average: ``'image'``: the mean over the annotated pixels of an image, then over the images,
            of which one without any counts as 0 (STA, Equation 1). So the loss of a batch is the
            mean of the losses of its parts, as several processes and accumulation take it. Or
            ``'pixel'``: the mean over all annotated pixels of the batch (AMTL's, MTAN's and
            MTI-Net's code), which weighs an image by how much of it is annotated.
        init_cfg: Initialisation, as for any mmengine module.

    Raises:
        ValueError: If ``average`` is neither.
    """

    def __init__(
        self,
        field: str,
        head: dict,
        loss: dict,
        loss_name: str = 'loss_regression',
        average: str = 'image',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if average not in ('image', 'pixel'):
            raise ValueError(f"decode_head.average must be 'image' or 'pixel', got {average!r}")
        self.field, self.average = field, average
        # As in mmseg's own segmentors, so that the head finds mmseg's losses.
        self.head = MODELS.build(dict(_scope_='mmseg') | head)
        self.criterion = MODELS.build(loss)
        self.loss_name = loss_name
        # What mmseg's segmentors ask a decode head for.
        self.align_corners = self.head.align_corners
        self.num_classes = self.head.num_classes
        self.out_channels = self.head.out_channels

    def forward(self, inputs: Any) -> Tensor:
        """Values at the resolution of the head, shape [N x K x h x w].

        Args:
            inputs: The backbone's feature maps.
        """
        return self.head(inputs)

    def loss(
        self, inputs: Any, batch_data_samples: list[SegDataSample], train_cfg: Any
    ) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            inputs: The backbone's feature maps.
            batch_data_samples: The N samples with their annotations.
            train_cfg: As for mmseg's heads; not used.
        """
        targets = self._targets(batch_data_samples)
        values = resize(
            self.forward(inputs),
            size=targets.shape[2:],
            mode='bilinear',
            align_corners=self.align_corners,
        )
        if self.average == 'pixel':
            # As one image, whose pixels are those of all.
            values, targets = (maps.transpose(0, 1).flatten(1)[None] for maps in (values, targets))
        values, targets = values.flatten(2), targets.flatten(2)
        measured = ~targets.isnan().any(1)
        counts = measured.sum(1).tolist()  # the one wait for a GPU
        images = zip(values, targets, measured, counts, strict=True)
        return {self.loss_name: torch.stack([self._image_loss(*each) for each in images]).mean()}

    def predict(self, inputs: Any, batch_img_metas: list[dict], test_cfg: Any) -> Tensor:
        """Values at the size of the images, shape [N x K x H x W].

        Args:
            inputs: The backbone's feature maps.
            batch_img_metas: Meta information of the N images.
            test_cfg: As for mmseg's heads; not used.
        """
        return self.head.predict_by_feat(self.forward(inputs), batch_img_metas)

    def _image_loss(self, values: Tensor, target: Tensor, measured: Tensor, count: int) -> Tensor:
        """The loss of an image, ``[K x P]``, of whose pixels ``count`` are measured."""
        if not count:
            return 0 * values.sum()
        places = torch.nonzero_static(measured, size=count).flatten()
        chosen, wanted = (each.index_select(1, places).T for each in (values, target))
        return self.criterion(chosen, wanted)

    def _targets(self, samples: list[SegDataSample]) -> Tensor:
        """Annotations, NaN where the preprocessor has padded the image to the right and below."""
        maps = []
        for sample in samples:
            height, width = sample.metainfo['img_shape'][:2]
            _, right, _, below = sample.metainfo.get('padding_size', (0, 0, 0, 0))
            # The preprocessor pads some kinds of annotations, with a number.
            data = sample.get(self.field).data[..., :height, :width]
            maps.append(functional.pad(data, (0, right, 0, below), value=torch.nan))
        return torch.stack(maps)
