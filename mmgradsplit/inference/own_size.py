"""Each task at the size and aspect at which it was validated: passes='own'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config

from mmgradsplit.functional import Placement, stretch, top_down
from mmgradsplit.functional.placement import Box, Size
from mmgradsplit.utils import pipeline_of
from mmgradsplit.visualization import make_sample, place, predicting

# Steps of a pipeline that leave the picture where it is.
IN_PLACE = ('Load', 'Pack', 'Normalize', 'GetBBox')


@dataclass(frozen=True)
class View:
    """How a task's validation pipeline shows pictures to the network.

    Attributes:
        size: (width, height) of the network's input, or within which it lies; None where pictures
            keep their size.
        rule: ``'as it is'``, ``'stretch'``, ``'fit'`` (scaled to fit within the size, in any
            orientation) or ``'top-down'`` (a person's box in the middle).
        padding: Of ``'top-down'``, the factor by which the box is enlarged.
    """

    size: Size | None = None
    rule: str = 'as it is'
    padding: float = 1.0

    def place(self, image_size: Size, box: Box | None = None) -> Placement:
        """Where a picture lies in the network's input.

        Args:
            image_size: (width, height) of the picture.
            box: The person's x1, y1, x2, y2, by default the whole picture.
        """
        if self.size is None:
            return Placement(image_size, image_size, (1.0, 1.0))
        if self.rule == 'fit':
            width, height = mmcv.rescale_size(image_size, self.size)
            return stretch(image_size, (max(1, width), max(1, height)))
        if self.rule == 'top-down':
            return top_down(image_size, self.size, box or (0, 0, *image_size), self.padding)
        return stretch(image_size, self.size)


def validation_views(cfg: Config) -> dict[str, View]:
    """The view of each task whose validation pipeline says it.

    Args:
        cfg: A prepared config.
    """
    loaders = cfg.get('val_dataloader') or {}
    by_task = dict.fromkeys(cfg.model.tasks, loaders) if 'dataset' in loaders else loaders
    return {
        task: _view(task, pipeline_of(loader.get('dataset'))) for task, loader in by_task.items()
    }


def _view(task: str, pipeline: Sequence[Mapping[str, Any]]) -> View:
    view, padding = View(), 1.25  # GetBBoxCenterScale's
    for step in pipeline:
        kind = str(step.get('type')).rpartition('.')[2]
        if kind == 'GetBBoxCenterScale':
            padding = float(step.get('padding', padding))
        elif kind == 'TopdownAffine':
            view = View(_pair(step['input_size']), 'top-down', padding)
        elif kind == 'Resize' and np.size(step.get('scale') or 0) == 2:
            view = View(_pair(step['scale']), 'fit' if step.get('keep_ratio') else 'stretch')
        elif not kind.startswith(IN_PLACE):
            view = View(_guess(step), f'unknown: {kind}')
    return view


def _guess(step: Mapping[str, Any]) -> Size | None:
    sizes = [step.get(key) for key in ('scale', 'input_size', 'crop_size', 'size')]
    return next((_pair(size) for size in sizes if np.size(size or 0) == 2), None)


def _pair(size: Any) -> Size:
    return int(size[0]), int(size[1])


def predict_own(
    model: Any,
    views: Mapping[str, View],
    images: Sequence[np.ndarray],
    tasks: Sequence[str],
    boxes: Sequence[Box | None],
) -> list[dict[str, Any]]:
    """Predict each task by a pass of its own, as it is validated, its flip test included.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`.
        views: How each task sees pictures.
        images: N images, each [H x W x 3], BGR, uint8.
        tasks: Names of the tasks to predict.
        boxes: The person's box in each image, None for the whole image.

    Returns:
        For each image the data sample of each task, in the image's pixels.

    Raises:
        ValueError: If a task's view is not known, or a flip test lacks what it has to exchange.
    """
    found: list[dict[str, Any]] = [{} for _ in images]
    for task in tasks:
        view = views.get(task)
        if view is None or view.rule.startswith('unknown'):
            step = '' if view is None else f" it has the step '{view.rule.partition(': ')[2]}',"
            raise ValueError(
                f"passes='own': val_dataloader of the task '{task}' does not say its own size:"
                f"{step} and only Resize and TopdownAffine can be followed; take passes='shared'"
            )
        placements = [
            view.place((image.shape[1], image.shape[0]), box)
            for image, box in zip(images, boxes, strict=True)
        ]
        # The inputs of a batch have one size.
        order = sorted(range(len(images)), key=lambda i: placements[i].input_size)
        for _, group in groupby(order, key=lambda i: placements[i].input_size):
            members = list(group)
            samples = _predict_task(model, task, images, placements, members)
            for i, sample in zip(members, samples, strict=True):
                found[i][task] = sample
    return found


def _predict_task(
    model: Any,
    task: str,
    images: Sequence[np.ndarray],
    placements: Sequence[Placement],
    members: Sequence[int],
) -> list[Any]:
    task_model = model.tasks[task]
    samples = [make_sample(task_model, placements[i]) for i in members]
    if (getattr(task_model, 'test_cfg', None) or {}).get('flip_test'):
        pairs = model.dataset_meta.get(task, {}).get('flip_indices')
        if pairs is None:
            raise ValueError(
                f"passes='own': model.tasks.{task}.test_cfg.flip_test needs to know left and "
                f'right, but the checkpoint has no flip_indices of its data set: set it to False'
            )
        for sample in samples:
            sample.set_metainfo(dict(flip_indices=pairs))
    inputs = [place(images[i], placements[i], average=False) for i in members]
    batch = dict(inputs=inputs, data_samples=samples)
    with predicting(model):
        data = task_model.data_preprocessor(batch, False)
        return model(data['inputs'], data['data_samples'], mode='predict', task=task)
