"""The data samples that the toolboxes' models ask for, of an image in its place."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.structures import InstanceData
from torch import nn

from mmgradsplit.functional import Placement

SampleMaker = Callable[[Placement], Any]

_SAMPLE_MAKERS: dict[str, SampleMaker] = {}


def register_sample_maker(toolbox: str) -> Callable[[SampleMaker], SampleMaker]:
    """Decorator: this function makes the data samples for the models of ``toolbox``.

    Args:
        toolbox: Name of the package that defines the model's class or one of its base classes.

    Returns:
        A decorator for a function of the :class:`~mmgradsplit.functional.Placement` of the image in
        the network's input. It returns a data sample such that ``predict`` gives results in the
        image's pixels.

    Example:
        >>> @register_sample_maker('mytoolbox')
        ... def my_sample(placement):
        ...     return MyDataSample(metainfo=dict(ori_shape=placement.image_size[::-1]))
    """

    def register(maker: SampleMaker) -> SampleMaker:
        _SAMPLE_MAKERS[toolbox] = maker
        return maker

    return register


@register_sample_maker('mmpretrain')
def _classification_sample(placement: Placement) -> Any:
    from mmpretrain.structures import DataSample

    return DataSample(metainfo=_shapes(placement))


@register_sample_maker('mmpose')
def _pose_sample(placement: Placement) -> Any:
    from mmpose.structures import PoseDataSample

    scale, shift = np.array(placement.scale), np.array(placement.index_shift)
    # Top-down estimators map the network's input back to this box.
    extent = np.array(placement.input_size) / scale
    box = dict(
        input_size=placement.input_size,
        input_center=(extent / 2 - shift / scale).astype(np.float32),
        input_scale=extent.astype(np.float32),
    )
    sample = PoseDataSample(metainfo=_shapes(placement) | box)
    sample.gt_instances = InstanceData(
        bboxes=np.array([[0, 0, *placement.image_size]], np.float32),
        bbox_scores=np.ones(1, np.float32),
    )
    return sample


@register_sample_maker('mmseg')
def _segmentation_sample(placement: Placement) -> Any:
    from mmseg.structures import SegDataSample

    shapes = _shapes(placement)
    meta = dict(shapes, pad_shape=placement.input_size[::-1], padding_size=[0, 0, 0, 0])
    right, below = placement.padding
    if right or below:
        # Left, right, above, below, as mmseg has it. Its preprocessor overwrites padding_size.
        meta['img_padding_size'] = [0, right, 0, below]
    return SegDataSample(metainfo=meta)


@register_sample_maker('mmdet')
def _detection_sample(placement: Placement) -> Any:
    from mmdet.structures import DetDataSample

    return DetDataSample(metainfo=dict(_shapes(placement), scale_factor=placement.scale))


def _shapes(placement: Placement) -> dict[str, Any]:
    return dict(img_shape=placement.content[::-1], ori_shape=placement.image_size[::-1])


def make_sample(task_model: nn.Module, placement: Placement) -> Any:
    """Data sample of one image for a task's model.

    Args:
        task_model: A model of any toolbox that has a sample maker.
        placement: Where the image lies in the network's input.

    Raises:
        KeyError: If no sample maker is registered for the model's toolbox.
    """
    packages = [cls.__module__.partition('.')[0] for cls in type(task_model).__mro__]
    for package in packages:
        if package in _SAMPLE_MAKERS:
            return _SAMPLE_MAKERS[package](placement)
    raise KeyError(
        f'no data sample can be made for {type(task_model).__name__} of {packages[0]!r}: there are '
        f'makers for {sorted(_SAMPLE_MAKERS)}; add yours with register_sample_maker'
    )
