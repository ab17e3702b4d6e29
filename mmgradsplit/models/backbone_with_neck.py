"""A backbone and a neck as one shared backbone."""

from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class BackboneWithNeck(BaseModule):
    """A backbone and the neck behind it, both shared by all tasks (AMTL, supplement A.1).

    To MultiTaskModel it is a backbone, whose features are the neck's outputs. A neck that each task
    has of its own belongs into the task's config instead.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck, of any toolbox.
        init_cfg: As in mmengine's ``BaseModule``.

    Example:
        >>> model = dict(
        ...     type='MultiTaskModel',
        ...     backbone=dict(
        ...         type='BackboneWithNeck',
        ...         backbone=dict(type='mmseg.ResNet', depth=50),
        ...         neck=dict(type='mmdet.FPN', ...)),
        ...     tasks=...)
    """

    def __init__(self, backbone: dict, neck: dict, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)

    def forward(self, inputs: Tensor) -> Any:
        """The neck's outputs for images of shape [N x 3 x H x W]."""
        return self.neck(self.backbone(inputs))
