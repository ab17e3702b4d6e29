"""Images, all tasks, a single pass over the shared backbone."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from mmgradsplit.functional import Placement, letterbox
from mmgradsplit.functional.placement import Size
from mmgradsplit.utils import chosen_tasks, read_image
from mmgradsplit.utils.normalisation import normalisation_of

from .data_samples import make_sample

# What would send an image through the backbone more than once, in the words of upstream's test_cfg.
SINGLE_PASS = {'flip_test': False, 'mode': 'whole'}


def place(
    image: np.ndarray,
    placement: Placement,
    around: Sequence[int] | np.ndarray = (0, 0, 0),
    average: bool = True,
) -> Tensor:
    """The network's input, before it is normalised: the image in its place.

    Args:
        image: shape [H x W x 3], BGR, uint8.
        placement: Where it goes.
        around: The colour around it, BGR; black by default.
        average: Average an image that shrinks to less than half over areas, so that no pixel is
            overlooked. Else it is interpolated bilinearly, as the tasks' pipelines do.

    Returns:
        shape [3 x h x w], uint8.
    """
    if placement.shift == (0.0, 0.0):
        small = average and min(placement.scale) < 0.5
        right, below = placement.padding
        resized = cv2.resize(
            image,
            placement.content,
            interpolation=cv2.INTER_AREA if small else cv2.INTER_LINEAR,
        )
        pixels = cv2.copyMakeBorder(
            resized, 0, below, 0, right, cv2.BORDER_CONSTANT, value=[int(each) for each in around]
        )
    else:
        matrix = np.column_stack([np.diag(placement.scale), placement.index_shift])
        pixels = cv2.warpAffine(
            image,
            matrix,
            placement.input_size,
            flags=cv2.INTER_LINEAR,
            borderValue=[int(each) for each in around],
        )
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def predict_image(
    model: Any, image: Any, size: Size | None = None, tasks: Sequence[str] | None = None
) -> dict[str, Any]:
    """Predict all tasks of one image over a single backbone pass: :func:`predict_batch` of one.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`. It is in evaluation mode during the
            call.
        image: What :func:`~mmgradsplit.utils.read_image` takes, such as a file, or an array
            [H x W x 3], BGR, uint8.
        size: (width, height) of the network's input.
        tasks: Names of the tasks to predict; by default all.

    Returns:
        The data sample of each task, as its toolbox predicts it, in the image's pixels.
    """
    return predict_batch(model, [read_image(image)], size, tasks)[0]


def predict_batch(
    model: Any,
    images: Sequence[np.ndarray],
    size: Size | None = None,
    tasks: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Predict several tasks of images over a single backbone pass (or as few as the model needs).

    The images are scaled to fit into ``size``, with their aspect, and lie in its upper left corner;
    the rest has the colour that is nearest to zero after normalisation. All results are brought
    back into the images' pixels. Test-time flipping and sliding windows, which need further passes,
    are off during the call.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`. It is in evaluation mode during the
            call.
        images: N images, each [H x W x 3], BGR, uint8.
        size: (width, height) of the network's input, a multiple of :func:`input_divisor`. By
            default ``model.input_size``, which :func:`~mmgradsplit.apis.load_model` sets, or else
            that of the images, which then have one size, rounded up to such a multiple.
        tasks: Names of the tasks to predict; by default all.

    Returns:
        For each image the data sample of each task, as its toolbox predicts it.

    Raises:
        KeyError: If no data sample can be made for a task's toolbox, or there is no such task.
        ValueError: If the tasks do not share one preprocessing, or images of different sizes have
            no size in common.
    """
    names = chosen_tasks(tasks, list(model.tasks))
    sizes = [(image.shape[1], image.shape[0]) for image in images]
    given = size or getattr(model, 'input_size', None)
    if not given and len(set(sizes)) > 1:
        raise ValueError(f'images of different sizes need a size for the network, got {sizes}')
    input_size = rounded_up(given or sizes[0], input_divisor(model))
    # Without a size the images are not scaled.
    placements = [
        letterbox(own, input_size) if given else Placement(own, input_size, (1.0, 1.0))
        for own in sizes
    ]
    around = normalisation_of(model.tasks[names[0]].data_preprocessor).middle
    tensors = [place(*pair, around) for pair in zip(images, placements, strict=True)]
    samples = {
        task: [make_sample(model.tasks[task], placement) for placement in placements]
        for task in names
    }
    with predicting(model), _single_pass(model):
        inputs, samples = _preprocess(model, tensors, samples)
        predictions = model(inputs, samples, mode='predict')
    return [{task: predictions[task][i] for task in names} for i in range(len(images))]


def input_divisor(model: Any) -> int:
    """The number that width and height of the network's input have to be multiples of.

    It is the least common multiple of what the tasks' preprocessors pad to.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`.
    """
    divisors = [1]
    for task in model.tasks.values():
        preprocessor = task.data_preprocessor
        test_cfg = getattr(preprocessor, 'test_cfg', None) or {}
        for divisor in (
            getattr(preprocessor, 'pad_size_divisor', None),
            test_cfg.get('size_divisor'),
        ):
            divisors.append(max(1, int(divisor or 1)))
    return math.lcm(*divisors)


def rounded_up(size: Sequence[int], divisor: int) -> Size:
    """The smallest (width, height) of multiples of a number that are not below a size."""
    width, height = (math.ceil(length / divisor) * divisor for length in size)
    return width, height


def _preprocess(
    model: Any, images: Sequence[Tensor], samples: Mapping[str, list]
) -> tuple[Tensor, dict[str, list]]:
    """Let every task preprocess the images, [3 x h x w] each, and check that they agree."""
    inputs: dict[str, Tensor] = {}
    processed = {}
    for task, of_task in samples.items():
        batch = dict(inputs=[image.clone() for image in images], data_samples=of_task)
        result = model.tasks[task].data_preprocessor(batch, False)
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
    if inputs[first].shape[2:] != images[0].shape[1:]:
        height, width = inputs[first].shape[2:]
        raise ValueError(
            f'the data preprocessors pad the input of {images[0].shape[2]} x {images[0].shape[1]} '
            f'pixels to {width} x {height}: give this as the size'
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
def predicting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, and no warning of mmseg that images may differ in size."""

    def wanted(record: logging.LogRecord) -> bool:
        return record.msg != 'Image shapes are different in the batch.'

    logger = MMLogger.get_current_instance()
    logger.addFilter(wanted)
    try:
        with evaluation_mode(model), torch.no_grad():
            yield
    finally:
        logger.removeFilter(wanted)


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
