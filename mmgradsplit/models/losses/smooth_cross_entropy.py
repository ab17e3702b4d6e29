"""Cross-entropy of segmentation over the annotated pixels, with smoothed labels."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class SmoothCrossEntropyLoss(nn.Module):
    """torch's cross-entropy as a ``loss_decode`` of mmseg: the mean over all annotated pixels.

    mmseg's own divides by all pixels unless it is told otherwise, and smooths no labels. A batch
    without an annotated pixel has the loss 0.

    Args:
        label_smoothing: Share of the label that is spread over all classes; AMTL's code has 0.1
            with ResNet-50.
        loss_weight: Factor of the loss.
        loss_name: Name in the logs; it must contain ``loss``.
    """

    def __init__(
        self, label_smoothing: float = 0.1, loss_weight: float = 1.0, loss_name: str = 'loss_ce'
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f'loss_decode.label_smoothing must be at least 0 and below 1, got {label_smoothing}'
            )
        self.label_smoothing, self.loss_weight = label_smoothing, loss_weight
        self.loss_name = loss_name

    def forward(
        self, scores: Tensor, labels: Tensor, weight: Any = None, ignore_index: int = 255
    ) -> Tensor:
        """The loss of a batch.

        Args:
            scores: shape [N x C x H x W].
            labels: shape [N x H x W].
            weight: Of mmseg's pixel samplers, which this loss does not know; must be None.
            ignore_index: Label of pixels without an annotation.

        Raises:
            ValueError: If pixels are weighted.
        """
        if weight is not None:
            raise ValueError(
                f'{type(self).__name__} knows no pixel sampler; set decode_head.sampler=None, or '
                f"loss_decode.type='mmseg.CrossEntropyLoss'"
            )
        total = functional.cross_entropy(
            scores,
            labels,
            ignore_index=ignore_index,
            label_smoothing=self.label_smoothing,
            reduction='sum',
        )
        return self.loss_weight * total / (labels != ignore_index).sum().clamp(min=1)
