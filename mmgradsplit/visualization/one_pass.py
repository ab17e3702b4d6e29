"""One image, all tasks, a single pass over the shared backbone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

Size = tuple[int, int]
SampleMaker = Callable[[Size, Size], Any]

# What would send an image through the backbone more than once, in the words of upstream's test_cfg.
SINGLE_PASS = {'flip_test': False, 'mode': 'whole'}

_SAMPLE_MAKERS: dict[str, SampleMaker] = {}


def register_sample_maker(toolbox: str) -> Callable[[SampleMaker], SampleMaker]:
    """Decorator: this function makes the data samples for the models of ``toolbox``.

    Args:
        toolbox: Name of the package that defines the model's class or one of its base classes.

    Returns:
        A decorator for a function of the image's size and the network input's size, both (width,
        height) in pixels, that returns a data sample such that ``predict`` gives results in the
        image's pixels.

    Example:
        >>> @register_sample_maker('mytoolbox')
        ... def my_sample(image_size, input_size):
        ...     return MyDataSample(metainfo=dict(ori_shape=image_size[::-1]))
    """

    def register(maker: SampleMaker) -> SampleMaker:
        _SAMPLE_MAKERS[toolbox] = maker
        return maker

    return register


@register_sample_maker('mmpretrain')
def _classification_sample(image_size: Size, input_size: Size) -> Any:
    from mmpretrain.structures import DataSample

    return DataSample(metainfo=_shapes(image_size, input_size))


@register_sample_maker('mmpose')
def _pose_sample(image_size: Size, input_size: Size) -> Any:
    from mmpose.structures import PoseDataSample

    scale = np.array(image_size, np.float32)
    # Top-down estimators map the network's input back to this box: here, the whole image.
    box = dict(input_size=input_size, input_center=scale / 2, input_scale=scale)
    sample = PoseDataSample(metainfo=_shapes(image_size, input_size) | box)
    sample.gt_instances = InstanceData(
        bboxes=np.array([[0, 0, *image_size]], np.float32), bbox_scores=np.ones(1, np.float32)
    )
    return sample


@register_sample_maker('mmseg')
def _segmentation_sample(image_size: Size, input_size: Size) -> Any:
    from mmseg.structures import SegDataSample

    shapes = _shapes(image_size, input_size)
    return SegDataSample(
        metainfo=dict(shapes, pad_shape=shapes['img_shape'], padding_size=[0, 0, 0, 0])
    )


@register_sample_maker('mmdet')
def _detection_sample(image_size: Size, input_size: Size) -> Any:
    from mmdet.structures import DetDataSample

    factors = tuple(new / old for new, old in zip(input_size, image_size, strict=True))
    return DetDataSample(metainfo=dict(_shapes(image_size, input_size), scale_factor=factors))


def _shapes(image_size: Size, input_size: Size) -> dict[str, Any]:
    return dict(img_shape=input_size[::-1], ori_shape=image_size[::-1])


def make_sample(task_model: nn.Module, image_size: Size, input_size: Size) -> Any:
    """Data sample of one image for a task's model.

    Args:
        task_model: A model of any toolbox that has a sample maker.
        image_size: (width, height) of the image.
        input_size: (width, height) of the network's input.

    Raises:
        KeyError: If no sample maker is registered for the model's toolbox.
    """
    packages = [cls.__module__.partition('.')[0] for cls in type(task_model).__mro__]
    for package in packages:
        if package in _SAMPLE_MAKERS:
            return _SAMPLE_MAKERS[package](image_size, input_size)
    raise KeyError(
        f'no data sample can be made for {type(task_model).__name__} of {packages[0]!r}: there are '
        f'makers for {sorted(_SAMPLE_MAKERS)}; add yours with register_sample_maker'
    )


def predict_image(
    model: Any, image: str | Path | np.ndarray, size: Size | None = None
) -> dict[str, Any]:
    """Predict all tasks of one image over a single backbone pass.

    Test-time flipping and sliding windows, which need further passes, are off during the call.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`. It is in evaluation mode during the
            call.
        image: File, or shape [H x W x 3], BGR, uint8.
        size: (width, height) that the image is resized to for the network. By default
            ``model.input_size``, which :func:`~mmgradsplit.apis.load_model` sets, or else the
            image's own.

    Returns:
        The data sample of each task, as its toolbox predicts it, in the image's pixels.

    Raises:
        FileNotFoundError: If there is no such image.
        KeyError: If no data sample can be made for a task's toolbox.
        ValueError: If the file is not an image, or the tasks do not share one preprocessing.
    """
    pixels = read_image(image)
    image_size = (pixels.shape[1], pixels.shape[0])
    input_size = tuple(size or getattr(model, 'input_size', None) or image_size)
    resized = mmcv.imresize(pixels, input_size, interpolation='bilinear')
    tensor = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))
    samples = {
        task: [make_sample(task_model, image_size, input_size)]
        for task, task_model in model.tasks.items()
    }
    with evaluation_mode(model), _single_pass(model), torch.no_grad():
        inputs, samples = _preprocess(model, tensor, samples)
        predictions = model(inputs, samples, mode='predict')
    return {task: prediction[0] for task, prediction in predictions.items()}


def read_image(image: str | Path | np.ndarray) -> np.ndarray:
    """An image as an array.

    Args:
        image: File, or shape [H x W x 3], BGR, which is returned as it is.

    Returns:
        shape [H x W x 3], BGR, uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not an image, or the array has another shape.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f'an image has the shape [H x W x 3], BGR, but got {image.shape}')
        return image
    if not Path(image).is_file():
        raise FileNotFoundError(f"no image '{image}'")
    pixels = mmcv.imread(image)
    if pixels is None:
        raise ValueError(f"'{image}' is not an image that OpenCV can read")
    return pixels


def _preprocess(
    model: Any, image: Tensor, samples: dict[str, list]
) -> tuple[Tensor, dict[str, list]]:
    """Let every task preprocess the image, [3 x H x W], and check that they agree on the result."""
    inputs: dict[str, Tensor] = {}
    processed = {}
    for task, task_model in model.tasks.items():
        batch = dict(inputs=[image.clone()], data_samples=samples[task])
        result = task_model.data_preprocessor(batch, False)
        inputs[task], processed[task] = result['inputs'], result['data_samples']
    first = next(iter(inputs))
    for task, tensor in inputs.items():
        if tensor.shape != inputs[first].shape or not torch.allclose(tensor, inputs[first]):
            raise ValueError(
                f'a single backbone pass needs one input for all tasks, but model.tasks.{task}.'
                f'data_preprocessor ({_describe(model, task, tensor)}) makes another one of the '
                f'image than model.tasks.{first}.data_preprocessor '
                f'({_describe(model, first, inputs[first])}): give them the same mean, std, '
                f'channel order and padding'
            )
    return inputs[first], processed


def _describe(model: Any, task: str, inputs: Tensor) -> str:
    preprocessor = model.tasks[task].data_preprocessor
    words = [
        f'{name} {getattr(preprocessor, name).flatten().tolist()}'
        for name in ('mean', 'std')
        if isinstance(getattr(preprocessor, name, None), Tensor)
    ]
    return ', '.join([*words, f'shape {tuple(inputs.shape)}'])


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode within this context."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _single_pass(model: Any) -> Iterator[None]:
    changed: Sequence[tuple[Any, dict]] = [
        (cfg, {key: cfg[key] for key in SINGLE_PASS if key in cfg})
        for cfg in (getattr(task, 'test_cfg', None) for task in model.tasks.values())
        if cfg
    ]
    for cfg, old in changed:
        cfg.update({key: SINGLE_PASS[key] for key in old})
    try:
        yield
    finally:
        for cfg, old in changed:
            cfg.update(old)
