"""Label maps against the classes of their data set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import IMPLAUSIBLE

# The field of a loaded map, and where the data info names its file.
MAPS = dict(
    gt_seg_map='seg_map_path',
    gt_depth_map='depth_map_path',
    gt_disparity_map='disparity_map_path',
    gt_normal_map='normal_map_path',
)
IGNORED = 255
SHOWN = 8


def check_labels(results: Mapping[str, Any], num_classes: int, classes: Sequence[str]) -> None:
    """Check a label map that has just been loaded.

    Args:
        results: ``gt_seg_map``, shape [H x W], and ``seg_map_path``.
        num_classes: Number of classes.
        classes: Their names, where they are known.

    Raises:
        SampleError: If a pixel is of no class, or the map is black and white.
    """
    labels, path = results['gt_seg_map'], results['seg_map_path']
    if labels.ndim != 2:
        raise SampleError(
            f'a label map has one number a pixel, but this has the shape {labels.shape}',
            path,
            'gt_seg_map',
            IMPLAUSIBLE,
        )
    # 255 becomes 0, so that one quick pass over the pixels tells.
    if labels.dtype == np.uint8 and (labels + np.uint8(1)).max() <= num_classes:
        if num_classes == 2:
            _check_black_and_white(results)
        return
    beyond = labels[(labels != IGNORED) & ((labels >= num_classes) | (labels < 0))]
    if beyond.size:
        names = list(classes[:SHOWN]) + ['...'] * (len(classes) > SHOWN)
        changed = results.get('reduce_zero_label') or results.get('label_map')
        after = ' (after reduce_zero_label or label_map)' if changed else ''
        raise SampleError(
            f'the label map has a pixel of class {beyond[0]}{after}, but the {num_classes} classes '
            f'{names or ""} are the numbers 0 to {num_classes - 1}, and {IGNORED} is ignored; add '
            f'classes to the data set, or mend the file',
            path,
            'gt_seg_map',
            IMPLAUSIBLE,
        )


def _check_black_and_white(results: Mapping[str, Any]) -> None:
    labels = results['gt_seg_map']
    if results.get('reduce_zero_label') or results.get('label_map') or labels.max() < IGNORED:
        return
    if not (labels == 1).any() and (labels == 0).any():
        raise SampleError(
            'the mask is black and white, of 0 and 255, where the second of the two classes is 1 '
            'and 255 means not to be trained, so nothing of it would be learned; divide it by 255 '
            '(a mask that does mean "background, the rest unknown" has to be left out)',
            results['seg_map_path'],
            'gt_seg_map',
            IMPLAUSIBLE,
        )
