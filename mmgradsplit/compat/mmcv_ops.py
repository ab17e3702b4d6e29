"""Stands for ``mmcv._ext`` where mmcv's ops are not compiled, on CPU and CUDA alike.

The functions have the names and the calling convention of mmcv's extension: the Python of mmcv.ops
allocates the results, and these functions write into them. It hands over tensors by position,
buffers of the compiled ops among them (``_``), and all else by name. They are computed by
torchvision, by mmcv's own PyTorch form, or are written out here. Every other op can be looked up,
as ``mmcv.ops`` does when it is imported, and raises one sentence when it is called.
docs/installation.md says what each was compared with.
"""

from functools import partial
from itertools import product
from typing import Any, NoReturn

import torch
import torchvision
from torch import Tensor
from torch.nn import functional

_torchvision = torch.ops.torchvision


def __getattr__(name: str) -> Any:
    # What inspects modules asks for names such as __path__ or __wrapped__, which are no ops.
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return partial(_not_compiled, name)


def _not_compiled(name: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        f"mmcv's op {name} is not compiled here, and mmgradsplit has no replacement for it: run "
        f"`make install OPS=1` in a clone of mmgradsplit, or build mmcv's ops in this environment"
    )


def get_compiler_version() -> str:
    """Say in reports on the environment that no compiler was used."""
    return 'not compiled'


def get_compiling_cuda_version() -> str:
    """Say in reports on the environment that no CUDA compiler was used."""
    return 'not compiled'


# Non-maximum suppression --------------------------------------------------------------------------


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes that are kept, the best first.

    Args:
        boxes: Corners, shape [n x 4].
        scores: Shape [n].
        iou_threshold: Boxes that overlap a better one by more are dropped.
        offset: A box is ``x2 - x1 + offset`` wide.
    """
    # mmcv has the threshold as a float32, which decides where boxes overlap by exactly this much.
    iou_threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Keep the best box, lower the scores of those that overlap it, and so on with the others.

    Args:
        boxes: Corners, shape [n x 4].
        scores: Shape [n].
        dets: Where the boxes that are kept go with their lowered scores, shape [n x 5].
        iou_threshold: Smallest overlap that counts, for the methods 0 and 1.
        sigma: Width of method 2.
        min_score: Boxes whose scores fall below are dropped.
        method: 0 drops, 1 lowers linearly, 2 by a Gaussian.
        offset: A box is ``x2 - x1 + offset`` wide.

    Returns:
        Indices of the boxes that are kept, in the order of ``dets``.
    """
    scores = scores.clone()
    rest = torch.arange(len(boxes), device=boxes.device)
    kept: list[int] = []
    while len(rest):
        best = rest[scores[rest].argmax()]
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(int(best))
        rest = rest[rest != best]
        overlap = _overlaps(boxes[best], boxes[rest], offset)
        if method == 2:
            scores[rest] *= torch.exp(-(overlap**2) / sigma)
        else:
            lowered = 1 - overlap if method == 1 else torch.zeros_like(overlap)
            scores[rest] *= torch.where(overlap >= iou_threshold, lowered, 1.0)
        rest = rest[scores[rest] >= min_score]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each box that is kept with those that it suppresses, the best first.

    Args:
        dets: Corners and scores, shape [n x 5].
        iou_threshold: Boxes that overlap a better one by as much belong to its group.
    """
    order = dets[:, 4].argsort(descending=True, stable=True)
    groups = []
    while len(order):
        best, rest = order[0], order[1:]
        matched = _overlaps(dets[best, :4], dets[rest, :4]) >= iou_threshold
        groups.append([int(best), *rest[matched].tolist()])
        order = rest[~matched]
    return groups


def _overlaps(box: Tensor, others: Tensor, offset: int = 0) -> Tensor:
    """Intersection over union of a box, shape [4], with others, shape [n x 4]."""

    def area(start: Tensor, end: Tensor) -> Tensor:
        return (end - start + offset).clamp(min=0).prod(-1)

    start = torch.maximum(box[:2], others[:, :2])
    end = torch.minimum(box[2:], others[:, 2:])
    common = area(start, end)
    return common / (area(box[:2], box[2:]) + area(others[:, :2], others[:, 2:]) - common)


# Regions of interest ------------------------------------------------------------------------------


def roi_align_forward(*tensors: Tensor, **options: Any) -> None:
    """RoIAlign by averages (``pool_mode`` 1), by torchvision."""
    if options['pool_mode'] != 1:
        _not_compiled("roi_align with pool_mode='max'")
    input, rois, output, _, _ = tensors
    output.copy_(_torchvision.roi_align(input, rois, *_roi_align(options)))


def roi_align_backward(*tensors: Tensor, **options: Any) -> None:
    """Gradient of RoIAlign by averages with respect to the features, by torchvision."""
    grad_output, rois, _, _, grad_input = tensors
    arguments = _roi_align(options)
    arguments[3:3] = grad_input.shape
    grad_input.copy_(_torchvision._roi_align_backward(grad_output, rois, *arguments))


def _roi_align(options: dict[str, Any]) -> list[Any]:
    """Options of RoIAlign in torchvision's order."""
    names = ('spatial_scale', 'aligned_height', 'aligned_width', 'sampling_ratio', 'aligned')
    return [options[name] for name in names]


def roi_pool_forward(
    *tensors: Tensor, pooled_height: int, pooled_width: int, spatial_scale: float
) -> None:
    """Maxima in the bins of each region; torchvision's rounds the regions, mmcv's does not."""
    input, rois, output, argmax = tensors
    height, width = input.shape[2:]
    start = rois[:, 1:3] * spatial_scale
    bins = rois.new_tensor([pooled_width, pooled_height])
    size = ((rois[:, 3:] + 1) * spatial_scale - start) / bins
    steps = torch.arange(max(pooled_width, pooled_height), device=rois.device)[:, None, None]
    # Borders by step, region, axis and end; a region without an area has no bins.
    borders = torch.stack([(steps * size + start).floor(), ((steps + 1) * size + start).ceil()], -1)
    borders = borders.clamp(min=0).minimum(rois.new_tensor([[width], [height]]))
    borders *= (size > 0).all(1)[:, None, None]
    images, places = rois[:, 0].long().tolist(), borders.transpose(0, 1).long().tolist()
    output.zero_()
    argmax.fill_(-1)
    for region, (image, place) in enumerate(zip(images, places, strict=True)):
        for row, column in product(range(pooled_height), range(pooled_width)):
            (left, right), (top, bottom) = place[column][0], place[row][1]
            window = input[image, :, top:bottom, left:right]
            if window.numel():
                output[region, :, row, column], index = window.flatten(1).max(1)
                y, x = index // window.shape[2], index % window.shape[2]
                argmax[region, :, row, column] = ((top + y) * width + left + x).to(argmax)


def roi_pool_backward(
    grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor, **options: Any
) -> None:
    """Hand each bin's gradient to the place of its maximum."""
    _, channels, height, width = grad_input.shape
    planes = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    places = planes[:, :, None, None] * (height * width) + argmax
    found = argmax >= 0
    grad_input.view(-1).index_add_(0, places[found], grad_output[found])


# Focal losses -------------------------------------------------------------------------------------


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """``-alpha (1 - p)^gamma log(p)`` for the target, ``-(1 - alpha) p^gamma log(1 - p)`` else."""
    p, log_p, q, log_q = _sigmoids(input)
    own = -alpha * q**gamma * log_p
    others = -(1 - alpha) * p**gamma * log_q
    output.copy_(_by_target(own, others, target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Derivative of the sigmoid focal loss with respect to the logits."""
    p, log_p, q, log_q = _sigmoids(input)
    own = -alpha * q**gamma * (q - gamma * p * log_p)
    others = -(1 - alpha) * p**gamma * (gamma * q * log_q - p)
    grad_input.copy_(_by_target(own, others, target, weight))


def _sigmoids(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return p, log(p), 1 - p and log(1 - p), exact far from zero too."""
    return x.sigmoid(), functional.logsigmoid(x), (-x).sigmoid(), functional.logsigmoid(-x)


def _by_target(own: Tensor, others: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Choose by whether a column is the target's, and weight rows by their targets' classes."""
    classes = torch.arange(own.shape[1], device=own.device)
    chosen = torch.where(target[:, None] == classes, own, others)
    return chosen * weight[target][:, None] if len(weight) else chosen


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """``-alpha (1 - p)^gamma log(p)`` for the target's probability; 0 for negative targets."""
    p, factor = _of_target(input, target, weight, alpha)
    output.copy_(-factor * (1 - p) ** gamma * p.log())


def softmax_focal_loss_backward(*tensors: Tensor, gamma: float, alpha: float) -> None:
    """Derivative of the softmax focal loss with respect to the logits."""
    input, target, weight, buff, grad_input = tensors
    p, factor = _of_target(input, target, weight, alpha)
    q = (1 - p).clamp(min=torch.finfo(p.dtype).tiny)  # gamma - 1 may be negative
    buff.copy_(factor * (gamma * q ** (gamma - 1) * p * p.log() - (1 - p) ** gamma))
    classes = torch.arange(input.shape[1], device=input.device)
    grad_input.copy_(buff[:, None] * ((target[:, None] == classes).to(input) - input))


def _of_target(
    softmax: Tensor, target: Tensor, weight: Tensor, alpha: float
) -> tuple[Tensor, Tensor]:
    """Probability of each row's target, and its factor: alpha by class weight, 0 if negative."""
    index = target.clamp(min=0)
    p = softmax.gather(1, index[:, None])[:, 0].clamp(min=torch.finfo(softmax.dtype).tiny)
    factor = alpha * (target >= 0).to(softmax)
    return p, factor * weight[index] if len(weight) else factor


# Deformable convolution ---------------------------------------------------------------------------

# Stride, padding, dilation and groups in torchvision's order, by the names that mmcv gives them.
_PLAIN = ('dH', 'dW', 'padH', 'padW', 'dilationH', 'dilationW', 'group', 'deformable_group')
_MODULATED = ('stride_h', 'stride_w', 'pad_h', 'pad_w', 'dilation_h', 'dilation_w', *_PLAIN[6:])


def deform_conv_forward(*tensors: Tensor, **sizes: int) -> None:
    """Deformable convolution, by torchvision."""
    input, weight, offset, output, _, _ = tensors
    output.copy_(_torchvision.deform_conv2d(*_plain(input, weight, offset, sizes)))


def deform_conv_backward_input(*tensors: Tensor, **sizes: int) -> None:
    """Gradient of deformable convolution with respect to features and offsets."""
    input, offset, grad_output, grad_input, grad_offset, weight, _ = tensors
    arguments = _plain(input, weight, offset, sizes)
    gradients = _torchvision._deform_conv2d_backward(grad_output, *arguments)
    grad_input.copy_(gradients[0])
    grad_offset.copy_(gradients[2])


def deform_conv_backward_parameters(*tensors: Tensor, scale: float, **sizes: int) -> None:
    """Gradient of deformable convolution with respect to the weight, of which only shape counts."""
    input, offset, grad_output, grad_weight, _, _ = tensors
    arguments = _plain(input, grad_weight, offset, sizes)
    gradients = _torchvision._deform_conv2d_backward(grad_output, *arguments)
    grad_weight.copy_(gradients[1] * scale)


def _plain(input: Tensor, weight: Tensor, offset: Tensor, sizes: dict[str, int]) -> list[Any]:
    """Arguments of torchvision's deformable convolution without mask and bias, but no None."""
    mask, bias = offset.new_zeros(len(input), 1), weight.new_zeros(len(weight))
    return [input, weight, offset, mask, bias, *(sizes[name] for name in _PLAIN), False]


def modulated_deform_conv_forward(*tensors: Tensor, with_bias: bool, **sizes: int) -> None:
    """Modulated deformable convolution, by torchvision."""
    input, weight, bias, _, offset, mask, output, _ = tensors
    bias = bias if with_bias else weight.new_zeros(len(weight))
    arguments = (input, weight, offset, mask, bias, *(sizes[name] for name in _MODULATED), True)
    output.copy_(_torchvision.deform_conv2d(*arguments))


def modulated_deform_conv_backward(*tensors: Tensor, with_bias: bool, **sizes: int) -> None:
    """Gradients of modulated deformable convolution, by torchvision."""
    input, weight, bias, _, offset, mask, _, *results, grad_output = tensors
    bias = bias if with_bias else weight.new_zeros(len(weight))
    arguments = (input, weight, offset, mask, bias, *(sizes[name] for name in _MODULATED), True)
    gradients = _torchvision._deform_conv2d_backward(grad_output, *arguments)
    grad_input, grad_weight, grad_bias, grad_offset, grad_mask = results
    ordered = [grad_input, grad_weight, grad_offset, grad_mask, *([grad_bias] if with_bias else [])]
    for result, gradient in zip(ordered, gradients, strict=False):
        result.copy_(gradient)


# Multi-scale deformable attention -----------------------------------------------------------------


def ms_deform_attn_forward(*tensors: Tensor, im2col_step: int) -> Tensor:
    """Multi-scale deformable attention by mmcv's own PyTorch form."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    value, shapes, _, locations, weights = tensors
    return multi_scale_deformable_attn_pytorch(value, shapes.tolist(), locations, weights)


def ms_deform_attn_backward(*tensors: Tensor, im2col_step: int) -> None:
    """Gradients with respect to values, locations and weights, by PyTorch through the same form."""
    value, shapes, starts, locations, weights, grad_output, *results = tensors
    inputs = [tensor.detach().requires_grad_() for tensor in (value, locations, weights)]
    with torch.enable_grad():
        value, locations, weights = inputs
        levels = (shapes, starts)
        output = ms_deform_attn_forward(value, *levels, locations, weights, im2col_step=im2col_step)
    gradients = torch.autograd.grad(output, inputs, grad_output)
    for result, gradient in zip(results, gradients, strict=True):
        result.copy_(gradient)
