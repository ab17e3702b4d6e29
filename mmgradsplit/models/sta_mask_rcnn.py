"""Mask R-CNN whose images are supervised for detection, masks or both (STA, section 4.3)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.detectors import MaskRCNN
from mmdet.models.roi_heads import StandardRoIHead
from mmengine.dist import get_world_size
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

from .batches import AllocationPreprocessor, take
from .exchanges import Exchanges
from .task_losses import ComputesTaskLosses, TaskLosses, mean_of_ranks

TASKS = ('det', 'mask')
# What mmdet's configs name, and what takes its place.
HEADS = {'RPNHead': 'STARPNHead', 'StandardRoIHead': 'STARoIHead'}


@MODELS.register_module()
class STARPNHead(RPNHead):
    """mmdet's RPN head, which proposes for all images and learns from some.

    Attributes:
        det: Images that are supervised for detection; None for all.
    """

    det: NDArray[np.int64] | None = None

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], ...]:
        """Scores and boxes for every image, without gradients where none are needed.

        Args:
            x: Feature maps of N images.

        Returns:
            Scores and boxes, a tensor of N images for each feature map.
        """
        count = len(x[0])
        if self.det is None or not self.training or len(self.det) == count:
            return super().forward(x)
        others = np.setdiff1d(np.arange(count), self.det)
        with torch.no_grad():
            proposing = super().forward(take(x, others))
        if not len(self.det):
            return proposing
        learning = super().forward(take(x, self.det))
        order = torch.from_numpy(np.argsort([*self.det, *others])).to(x[0].device)
        return tuple(
            [torch.cat(parts)[order] for parts in zip(one, other, strict=True)]
            for one, other in zip(learning, proposing, strict=True)
        )

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list | None = None,
    ) -> dict:
        """The losses of the allocated images; arguments as in mmdet."""
        rows = np.arange(len(batch_img_metas)) if self.det is None else self.det
        if not len(rows):
            return {}
        return super().loss_by_feat(
            take(cls_scores, rows),
            take(bbox_preds, rows),
            [batch_gt_instances[i] for i in rows],
            [batch_img_metas[i] for i in rows],
            None if batch_gt_instances_ignore is None else [
                batch_gt_instances_ignore[i] for i in rows
            ],
        )  # fmt: skip


@MODELS.register_module()
class STARoIHead(StandardRoIHead):
    """mmdet's RoI head, whose box and mask heads see only the images allocated to them.

    Attributes:
        det: Images that are supervised for detection; None for all.
        mask: Images that are supervised for masks; None for all.
    """

    det: NDArray[np.int64] | None = None
    mask: NDArray[np.int64] | None = None

    def bbox_loss(self, x: tuple[Tensor, ...], sampling_results: list) -> dict:
        """The box losses of the allocated images; arguments as in mmdet."""
        rows = np.arange(len(sampling_results)) if self.det is None else self.det
        if not len(rows):
            return dict(loss_bbox={}, bbox_feats=None)
        return super().bbox_loss(take(x, rows), [sampling_results[i] for i in rows])

    def mask_loss(
        self,
        x: tuple[Tensor, ...],
        sampling_results: list,
        bbox_feats: Tensor,
        batch_gt_instances: list,
    ) -> dict:
        """The mask loss of the allocated images; arguments as in mmdet."""
        rows = np.arange(len(sampling_results)) if self.mask is None else self.mask
        if not len(rows):
            return dict(loss_mask={})
        return super().mask_loss(
            take(x, rows),
            [sampling_results[i] for i in rows],
            bbox_feats,
            [batch_gt_instances[i] for i in rows],
        )


@MODELS.register_module()
class STAMaskRCNN(ComputesTaskLosses, MaskRCNN):
    """Mask R-CNN with the tasks ``det`` (RPN, boxes and classes) and ``mask``.

    An image has only the losses of its allocated tasks; proposals are made for every image. The
    losses of a task are normalised over its images as mmdet normalises them over a batch, and added
    up, so with all tasks for all images they are mmdet's own.

    Any Mask R-CNN config of mmdet becomes one for STA by ``model = dict(type=
    'mmgradsplit.STAMaskRCNN')`` and ``train_cfg = dict(type='mmgradsplit.JointTrainLoop',
    allocator=dict(type='mmgradsplit.STA'))``.

    Args:
        rpn_head: Config of the RPN head, of type ``RPNHead``.
        roi_head: Config of the RoI head, of type ``StandardRoIHead`` with its own RoI extractor for
            masks.
        **kwargs: As in mmdet's ``MaskRCNN``.

    Raises:
        ValueError: If a head is of another type.
    """

    tasks = TASKS
    # mmdet adds all losses up: the uniform mean over the tasks with these factors is their sum.
    loss_weights = MappingProxyType({task: float(len(TASKS)) for task in TASKS})

    def __init__(self, rpn_head: dict, roi_head: dict, **kwargs: Any) -> None:
        super().__init__(
            rpn_head=_replaced(rpn_head, 'rpn_head'),
            roi_head=_replaced(roi_head, 'roi_head'),
            **kwargs,
        )
        if self.roi_head.share_roi_extractor:
            raise ValueError(
                'model.roi_head: boxes and masks of different images cannot share RoI features; '
                'set mask_roi_extractor'
            )
        self.exchanges = Exchanges('rpn_head.', 'roi_head.', norms=False)
        self.data_preprocessor: nn.Module = AllocationPreprocessor(self.data_preprocessor)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence | None = None,
        mode: str = 'tensor',
        allocation: NDArray[np.bool_] | None = None,
        counts: NDArray[np.int64] | None = None,
    ) -> Any:
        """As mmdet's, with an allocation for ``'loss'``.

        Args:
            inputs: shape [N x 3 x H x W].
            data_samples: N of mmdet's data samples.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            allocation: shape [N x 2], whether an image is supervised for ``det`` and ``mask``; by
                default every image for both.
            counts: shape [2], images of each task on all ranks; each rank normalises on its own, as
                mmdet does.
        """
        rows: Any = (
            [None, None] if allocation is None else [np.flatnonzero(a) for a in allocation.T]
        )
        self.rpn_head.det = self.roi_head.det = rows[0]
        self.roi_head.mask = rows[1]
        outputs = super().forward(inputs, data_samples, mode)
        if mode == 'loss' and allocation is not None and get_world_size() > 1:
            # A rank without images for a task must still answer for its parameters.
            det = [] if rows[0].size else [self.rpn_head, self.roi_head.bbox_head]
            mask = [] if rows[1].size else [self.roi_head.mask_head]
            outputs['idle'] = _nothing([self] if det and mask else det + mask, inputs)
        return outputs

    def task_losses(self, outputs: dict[str, Any], data: Mapping[str, Any]) -> TaskLosses:
        """The losses of the two tasks: those with ``mask`` in their name, and the others.

        Args:
            outputs: What :meth:`forward` returned for ``'loss'``.
            data: The preprocessed batch.
        """
        idle = outputs.pop('idle', None)
        parts: dict[str, dict[str, Any]] = {task: {} for task in TASKS}
        for name, value in outputs.items():
            parts['mask' if 'mask' in name else 'det'][name] = value
        losses: dict[str, Tensor] = {}
        logs: dict[str, Any] = {}
        for task, part in parts.items():
            if any('loss' in name for name in part):
                losses[task], log_vars = self.parse_losses(part)
                logs[f'{task}/loss'] = log_vars.pop('loss')
                logs.update(log_vars)
        if idle is not None:
            losses = {task: loss + idle for task, loss in losses.items()}
            if data.get('counts') is not None:
                losses = mean_of_ranks(losses, TASKS, idle)
        return TaskLosses(losses, logs)


def _replaced(cfg: dict, key: str) -> dict:
    name = str(cfg['type']).rpartition('.')[2]
    if name not in HEADS:
        raise ValueError(
            f"model.{key}.type is '{cfg['type']}', but STAMaskRCNN knows which losses belong to "
            f'which task for {list(HEADS)} only'
        )
    return dict(cfg, type=f'mmgradsplit.{HEADS[name]}')


def _nothing(modules: Sequence[nn.Module], like: Tensor) -> Tensor:
    """Zero, with a zero gradient for every parameter."""
    zero = like.new_zeros(())
    for module in modules:
        for param in module.parameters():
            zero = zero + 0 * param.sum()
    return zero
