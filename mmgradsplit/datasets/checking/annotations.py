"""Classes, boxes, polygons and keypoints of a sample, before a transform uses them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmgradsplit.utils import SampleError

from .geometry import said_size

Size = tuple[int, int]


def check_classes(data: Mapping[str, Any], num_classes: int) -> None:
    """Check ``gt_label``, a class or several, and ``gt_score``, a number for each class.

    Args:
        data: The data info of a sample.
        num_classes: Number of classes; 0 where it is not known.

    Raises:
        SampleError: If a class does not exist, or a score is beyond -1 (not known) to 1.
    """
    label, scores = data.get('gt_label'), data.get('gt_score')
    if label is not None and num_classes:
        for each in label if isinstance(label, list | tuple | np.ndarray) else (label,):
            if not 0 <= each < num_classes:
                raise SampleError(
                    f'its label (gt_label) is {each}, but the {num_classes} classes are the '
                    f'numbers 0 to {num_classes - 1}'
                )
    if scores is not None:
        scores = np.asarray(scores)
        if num_classes and scores.shape[-1] != num_classes:
            raise SampleError(
                f'it has {scores.shape[-1]} labels (gt_score), but there are {num_classes} classes'
            )
        if not ((scores >= -1) & (scores <= 1)).all():
            raise SampleError(
                f'its labels (gt_score) are from {scores.min():g} to {scores.max():g}, but 1 is '
                f'yes, 0 no, and -1 not known'
            )


def check_instances(data: Mapping[str, Any], size: Size, num_classes: int) -> None:
    """Check boxes, their classes and their masks, as mmdet's data sets have them.

    Args:
        data: The sample, with its ``instances`` and the image.
        size: Width and height of the image.
        num_classes: Number of classes; 0 where it is not known.

    Raises:
        SampleError: If a class does not exist, a box or a polygon is not near the image, or the
            image has another size than its annotations are of.
    """
    wrong = said_size(data)
    if wrong:
        raise SampleError(wrong)
    width, height = size
    for number, instance in enumerate(data['instances']):
        label = instance.get('bbox_label', 0)
        if num_classes and not 0 <= label < num_classes:
            raise SampleError(
                f'instance {number} is of class {label}, but the {num_classes} classes are the '
                f'numbers 0 to {num_classes - 1}'
            )
        box = instance.get('bbox')
        if box is not None:
            x1, y1, x2, y2 = (float(each) for each in box)
            if not _near((x1, x2), width) or not _near((y1, y2), height):
                raise SampleError(
                    f'box {number}, {list(box)}, is not in the image of {_said(size)}'
                )
            if x2 <= x1 or y2 <= y1:
                raise SampleError(f'box {number}, {list(box)} (x1, y1, x2, y2), has no area')
            if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
                raise SampleError(
                    f'box {number}, {list(box)}, is beside the image of {_said(size)}'
                )
        _check_mask(instance.get('mask'), number, size)


def check_keypoints(data: Mapping[str, Any], size: Size, num_keypoints: int) -> None:
    """Check the keypoints that are visible, and the box, as mmpose's data sets have them.

    Args:
        data: The sample: ``keypoints``, shape [N x K x 2], and as far as they are there
            ``keypoints_visible``, shape [N x K], and ``bbox``, shape [N x 4].
        size: Width and height of the image.
        num_keypoints: K; 0 where it is not known.

    Raises:
        SampleError: If there is another number of them, or one is not near the image.
    """
    points = np.asarray(data['keypoints'])
    if num_keypoints and points.shape[1] != num_keypoints:
        raise SampleError(f'it has {points.shape[1]} keypoints, but there are {num_keypoints}')
    given = data.get('keypoints_visible')
    visible = np.ones(points.shape[:2]) if given is None else np.asarray(given)
    if visible.shape[:2] != points.shape[:2]:
        raise SampleError(
            f'it has {points.shape[1]} keypoints, but {visible.shape[1]} numbers of visibility'
        )
    shown = points[(visible[..., 0] if visible.ndim == 3 else visible) > 0]
    # Nearly always all are near both sides, which is told in a few steps. NaN is near nothing.
    if shown.size and not (shown.min() >= -min(size) and shown.max() <= 2 * min(size)):
        limit = np.asarray(size)
        far = ~((shown >= -limit) & (shown <= 2 * limit)).all(1)
        if far.any():
            x, y = shown[far][0]
            raise SampleError(
                f'a visible keypoint, ({x:g}, {y:g}), is not in the image of {_said(size)}'
            )
    if data.get('bbox') is not None:
        for x1, y1, x2, y2 in np.reshape(data['bbox'], (-1, 4)).tolist():
            if not (x1 < x2 < math.inf and y1 < y2 < math.inf):
                raise SampleError(f'its box {[x1, y1, x2, y2]} (x1, y1, x2, y2) has no area')


def _check_mask(mask: Any, number: int, size: Size) -> None:
    """Check polygons and run lengths: pycocotools ends the process for what is far off."""
    if isinstance(mask, list):
        for polygon in mask:
            if (
                len(polygon) % 2
                or not _near(polygon[::2], size[0])
                or not _near(polygon[1::2], size[1])
            ):
                text = ', '.join(map(str, polygon[:6])) + (', ...' if len(polygon) > 6 else '')
                raise SampleError(
                    f'polygon [{text}] of instance {number} has an odd number of numbers, or is '
                    f'not in the image of {_said(size)}'
                )
    elif isinstance(mask, Mapping) and mask.get('size') is not None:
        counts = mask.get('counts')
        whole = not isinstance(counts, list) or (
            sum(counts) == size[0] * size[1] and min(counts, default=0) >= 0
        )
        if list(mask['size']) != [size[1], size[0]] or not whole:
            raise SampleError(
                f'the mask of instance {number} (RLE) is of [height, width] {list(mask["size"])}, '
                f'or its counts do not add up to the image of {_said(size)}'
            )


def _near(values: Sequence[float], length: int) -> bool:
    """Whether numbers along a side are finite and at most the side's length outside of it."""
    if not values:
        return True
    return math.isfinite(sum(values)) and min(values) >= -length and max(values) <= 2 * length


def _said(size: Size) -> str:
    return f'{size[0]} x {size[1]} pixels'
