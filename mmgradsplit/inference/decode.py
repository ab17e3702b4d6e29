"""From the data sample that a toolbox predicted to a typed result."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmpretrain.models.heads import MultiLabelClsHead

from mmgradsplit.visualization.appearance import (
    class_names,
    class_palette,
    given_colours,
    to_numpy,
)

from .task_results import (
    Attributes,
    Boxes,
    Classes,
    Embedding,
    Keypoints,
    LabelMap,
    TaskResult,
    ValueMap,
    VectorMap,
)


def decode(task_model: Any, sample: Any, meta: Mapping[str, Any]) -> TaskResult | None:
    """A typed result out of a data sample, chosen by what the sample holds.

    Args:
        task_model: The task's model.
        sample: What it predicted, in the picture's pixels.
        meta: Meta information of the task's data set: ``classes``, ``palette``, ``skeleton_links``,
            … as far as known.

    Returns:
        The result; None for a kind of prediction that has no type here.
    """
    if 'pred_score' in sample:
        scores = to_numpy(sample.pred_score).astype(np.float32)
        several = isinstance(getattr(task_model, 'head', None), MultiLabelClsHead)
        return (Attributes if several else Classes)(class_names(meta, len(scores)), scores)
    if 'embedding' in sample:
        return Embedding(to_numpy(sample.embedding).astype(np.float32))
    if 'pred_sem_seg' in sample:
        labels = to_numpy(sample.pred_sem_seg.data)[0]
        head = getattr(task_model, 'decode_head', None)
        count = max(int(labels.max()) + 1, int(getattr(head, 'num_classes', 0)))
        small = labels.astype(np.uint8 if count <= 256 else np.int32)
        return LabelMap(small, class_names(meta, count), class_palette(meta, count))
    instances = sample.get('pred_instances')
    if instances is not None and 'keypoints' in instances:
        return _keypoints(instances, meta)
    if instances is not None and 'bboxes' in instances:
        return _boxes(instances, meta)
    for field in sample.keys():  # noqa: SIM118  # iterating over a sample gives nothing
        if field.startswith('pred_') and field.endswith('_map'):
            return _map(field.removeprefix('pred_').removesuffix('_map'), sample.get(field).data)
    return None


def _keypoints(instances: Any, meta: Mapping[str, Any]) -> Keypoints:
    xy = to_numpy(instances.keypoints)[..., :2].astype(np.float32)
    count = xy.shape[1]
    known = meta.get('keypoint_id2name') or {}
    links = tuple((int(a), int(b)) for a, b in meta.get('skeleton_links') or ())
    return Keypoints(
        names=tuple(str(known.get(i, f'keypoint {i}')) for i in range(count)),
        xy=xy,
        scores=to_numpy(instances.keypoint_scores).astype(np.float32),
        links=links,
        colours=given_colours(meta.get('keypoint_colors'), count),
        link_colours=given_colours(meta.get('skeleton_link_colors'), len(links)),
    )


def _boxes(instances: Any, meta: Mapping[str, Any]) -> Boxes:
    labels = to_numpy(instances.labels).astype(np.int64)
    count = max(int(labels.max(initial=-1)) + 1, len(meta.get('classes') or ()))
    masks = to_numpy(instances.masks).astype(bool) if 'masks' in instances else None
    boxes = instances.bboxes
    return Boxes(
        xyxy=to_numpy(getattr(boxes, 'tensor', boxes)).astype(np.float32),
        scores=to_numpy(instances.scores).astype(np.float32),
        labels=labels,
        names=class_names(meta, count),
        palette=class_palette(meta, count),
        masks=masks,
    )


def _map(name: str, data: Any) -> TaskResult:
    """Of [K x H x W]."""
    values = to_numpy(data).astype(np.float32)
    if len(values) == 1:
        return ValueMap(name, values[0])
    return VectorMap(name, np.ascontiguousarray(values.transpose(1, 2, 0)))
