"""What is wrong with data, said before the first step rather than by torch in the middle."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from mmgradsplit.utils import SampleError
from mmgradsplit.utils.mmengine_private import is_no_samples, unknown_type

from .reading import annotation_file, broken_annotations

# The heads of the toolboxes' models, and what they learn classes from.
HEADS = dict(head='gt_label', decode_head='gt_seg_map', bbox_head='bbox_label')
# The modes of images that Pillow reads with a number for each pixel.
NUMBERED = ('1', 'L', 'P', 'I', 'I;16')
# What it calls the bytes of grey PNGs of 2 and 4 bits.
SPREAD = ('L;2', 'L;4')
IGNORED = 255


@contextmanager
def dataset_errors_said(key: str) -> Iterator[None]:
    """Say in the words of the config what a data set was refused for.

    Args:
        key: Config key of the data set.

    Raises:
        ValueError: In place of an error that names neither the key nor what to do: an annotation
            file that is broken, an empty data set, a type that is looked up in the wrong toolbox,
            an assertion.
    """
    try:
        yield
    except Exception as error:
        said = _said(error, key)
        if said is None:
            raise
        raise said from error


def _said(error: Exception, key: str) -> Exception | None:
    """What to raise in place of an error; None where it says enough."""
    if isinstance(error, ValueError) and is_no_samples(error):
        return SampleError(
            f'{key} has no samples; check its data_root, data_prefix and ann_file, and filter_cfg',
            annotation_file(error),
        )
    broken = broken_annotations(error, key)
    if broken is not None:
        return broken
    if isinstance(error, KeyError):
        name = unknown_type(error)
        if name is None:
            return None
        return ValueError(
            f"{key}: mmgradsplit has no '{name}'; say whose it is, by _scope_='mmseg' (or "
            f"'mmpretrain', 'mmpose', 'mmdet') in the data set, for its own type and those in its "
            f"pipeline, or by a prefix of each type, such as 'mmseg.'"
        )
    if isinstance(error, AssertionError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        file = '/'.join(Path(place.filename).parts[-4:])
        return ValueError(f'{key}: {str(error) or f"{place.line} ({file})"}')
    return None


def check_annotations(dataset: Any, key: str) -> None:
    """Find a missing label map before the first step rather than in the middle.

    Args:
        dataset: The data set.
        key: Config key of its dataloader.

    Raises:
        FileNotFoundError: If a label map is not there.
    """
    for index in range(len(dataset)):
        path = _label_map(dataset, index)
        if path is None:
            return
        if not Path(path).is_file():
            image = dataset.get_data_info(index).get('img_path')
            raise FileNotFoundError(f"{key}: no annotation file '{path}' for the image '{image}'")


def _label_map(dataset: Any, index: int) -> str | None:
    info = dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else None
    return info.get('seg_map_path') if isinstance(info, Mapping) else None


def check_outputs(task_model: Any, dataset: Any, task: str, key: str) -> None:
    """Check that a head has an output for each class, or keypoint, of the data set.

    Of the label maps, the first one is read.

    Args:
        task_model: The task's model.
        dataset: The task's data set.
        task: Its name.
        key: Config key of its dataloader.

    Raises:
        ValueError: If the numbers differ, a label map holds others, or joined data sets have
            different meta information.
    """
    meta = getattr(dataset, 'metainfo', {})
    if not isinstance(meta, Mapping):  # mmdet's ConcatDataset has a list then
        raise ValueError(
            f'{key}.dataset: the meta information of its data sets differs, so it is not known '
            f'which classes are those of the task; give its {type(dataset).__name__} ignore_keys '
            f"with the keys that may differ, such as ['dataset_type'], or correct metainfo"
        )
    for name in HEADS:
        head = getattr(task_model, name, None)
        # A head with a field predicts numbers, on images whose classes are for another task.
        if head is None or hasattr(head, 'field'):
            continue
        for attribute, what, number in (
            ('num_classes', 'classes', len(meta.get('classes') or ())),
            ('out_channels', 'keypoints', meta.get('num_keypoints', 0)),
        ):
            outputs = getattr(head, attribute, None)
            if number and isinstance(outputs, int) and outputs != number:
                raise ValueError(
                    f'model.tasks.{task}.{name}.{attribute} is {outputs}, but the data set of '
                    f'{key} has {number} {what}: {_names(meta, what)}'
                )
        _check_codec(head, dataset, f'model.tasks.{task}.{name}', key)
        _check_identities(head, dataset, meta, f'model.tasks.{task}.{name}', key)
        if name == 'decode_head' and meta.get('classes'):
            _check_label_map(dataset, key)


def _check_codec(head: Any, dataset: Any, name: str, key: str) -> None:
    """Check that keypoints are decoded as those of the data set are encoded."""
    decoder = getattr(head, 'decoder', None)
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    for encoder in (getattr(step, 'encoder', None) for step in steps):
        for size in ('input_size', 'heatmap_size') if type(encoder) is type(decoder) else ():
            ours, theirs = getattr(decoder, size, None), getattr(encoder, size, None)
            if not np.array_equal(np.asarray(ours), np.asarray(theirs)):
                raise ValueError(
                    f'{name}.decoder.{size} is {ours}, but the keypoints of {key} are encoded with '
                    f'{theirs}; give both the same codec'
                )


def _check_identities(
    head: Any, dataset: Any, meta: Mapping[str, Any], name: str, key: str
) -> None:
    """Check that a head that learns identities has an output for each of them."""
    identities, outputs = meta.get('num_identities', 0), getattr(head, 'num_classes', None)
    learned = identities and 'gt_label' in dataset.get_data_info(0)
    if learned and isinstance(outputs, int) and identities > outputs:
        raise ValueError(
            f'{name}.num_classes is {outputs}, but the data set of {key} has {identities} '
            f'identities; set it to as many at least'
        )


def numbers_of_classes(model: Any, tasks: Sequence[str]) -> dict[str, int]:
    """How many classes the heads of some tasks tell apart, by what they learn them from.

    Args:
        model: The model.
        tasks: Names of the tasks.

    Returns:
        The number for ``gt_label``, ``gt_seg_map`` and ``bbox_label``, as far as there is a head.
    """
    numbers = {}
    for _, head, field in _heads(model, tasks):
        number = getattr(head, 'num_classes', None)
        if isinstance(number, int):
            numbers[field] = number
    return numbers


def learned_annotations(model: Any, tasks: Sequence[str]) -> dict[str, str]:
    """The task that learns from each annotation, by the annotation's field.

    Args:
        model: The model.
        tasks: Names of the tasks.
    """
    return {field: task for task, _, field in _heads(model, tasks)}


def _heads(model: Any, tasks: Sequence[str]) -> Iterator[tuple[str, Any, str]]:
    """Task, head, and what the head learns from, of some tasks."""
    # A model with tasks of its own, such as STAMaskRCNN, has only their names.
    parts: dict[str, Any] = (
        dict(model.tasks.items()) if isinstance(model.tasks, nn.ModuleDict) else {}
    )
    for task in tasks:
        for name, field in HEADS.items():
            head = getattr(parts.get(task), name, None)
            if head is not None:
                # One with a field learns numbers.
                yield task, head, getattr(head, 'field', field)


def _names(meta: Mapping[str, Any], what: str) -> list[str]:
    names = meta['classes'] if what == 'classes' else meta['keypoint_id2name'].values()
    return [str(name) for name in names]


def _check_label_map(dataset: Any, key: str) -> None:
    path, info = _label_map(dataset, 0), dataset.get_data_info(0)
    if path is None or not path.endswith('.png'):
        return
    with Image.open(path) as image:
        if image.mode not in NUMBERED:
            raise ValueError(
                f"{key}: the mask '{path}' has the channels {image.mode}; a mask has one channel, "
                f'and each of its pixels is the number of a class'
            )
        if image.tile and image.tile[0].args in SPREAD:
            return  # Pillow spreads these numbers to 0..255; the data set reads them rightly
        labels = np.asarray(image)
    if info.get('label_map') or info.get('reduce_zero_label'):
        return
    classes = list(dataset.metainfo['classes'])
    beyond = labels[(labels >= len(classes)) & (labels != IGNORED)]
    if beyond.size:
        raise ValueError(
            f"{key}: the mask '{path}' has a pixel of {beyond[0]}, but the {len(classes)} classes "
            f'{classes} are the numbers 0 to {len(classes) - 1}, and {IGNORED} is ignored'
        )
