"""Weight gradients of the filters that a task step may move, and of no others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Spans = Sequence[tuple[int, int]]
FORWARD = '_conv_forward'  # the method of a convolution that has its weight handed over


class _HeldConv2d(torch.autograd.Function):
    """``conv2d`` whose weight gradient is computed for the held output channels, zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, spans: Spans, options: tuple) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.spans, ctx.options = spans, options
        return torch.conv2d(inputs, weight, None, *options)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        inputs, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options

        def gradient(grad: Tensor, weight: Tensor, of: tuple[bool, bool, bool]) -> tuple:
            return torch.ops.aten.convolution_backward(
                grad, inputs, weight, None, stride, padding, dilation, False, [0, 0], groups, of
            )

        grad_inputs = None
        if ctx.needs_input_grad[0]:
            grad_inputs = gradient(grad, weight, (True, False, False))[0]
        grad_weight = torch.zeros_like(weight)
        for start, stop in ctx.spans:
            part = gradient(grad[:, start:stop], weight[start:stop], (False, True, False))[1]
            grad_weight[start:stop] = part
        return grad_inputs, grad_weight, None, None


class HeldGradients:
    """Lets convolutions compute the weight gradients of held filters alone.

    The forward pass is that of ``torch.conv2d``. Other convolutions than plain 2-d ones without
    bias and groups take the ordinary way: their gradients are computed whole, and the update drops
    what is not held.

    Args:
        spans: The held output channels ``(start, stop)`` of each convolution weight.
    """

    def __init__(self, spans: Mapping[nn.Parameter, Spans]) -> None:
        self.spans = dict(spans)
        self._model: nn.Module | None = None
        self._forwards: list[tuple[nn.Module, Callable]] = []

    @contextmanager
    def of(self, model: nn.Module) -> Iterator[None]:
        """Within this context, the convolutions of a model do so.

        They have another way through the forward pass for so long, which costs 0.2 ms for the
        layer4 of a ResNet-50; a mode that looks at every operation of the pass costs 1.7 ms.

        Args:
            model: The model.
        """
        if self._model is not model:
            self._model, self._forwards = model, list(self._held_forwards(model))
        for conv, forward in self._forwards:
            vars(conv)[FORWARD] = forward
        try:
            yield
        finally:
            for conv, _ in self._forwards:
                del vars(conv)[FORWARD]

    def _held_forwards(self, model: nn.Module) -> Iterator[tuple[nn.Module, Callable]]:
        for conv in model.modules():
            weight: Any = getattr(conv, 'weight', None)
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(weight, nn.Parameter)
                and weight in self.spans
                and type(conv)._conv_forward is nn.Conv2d._conv_forward
                and conv.bias is None
                and conv.groups == 1
                and conv.padding_mode == 'zeros'
                and not isinstance(conv.padding, str)
            ):
                options = (conv.stride, conv.padding, conv.dilation, conv.groups)
                yield conv, partial(_held_forward, self.spans[weight], options)


def _held_forward(
    spans: Spans, options: tuple, inputs: Tensor, weight: Tensor, bias: None
) -> Tensor:
    """What a convolution makes of its inputs in ``Conv2d._conv_forward``."""
    if torch.is_autocast_enabled(inputs.device.type):
        dtype = torch.get_autocast_dtype(inputs.device.type)
        inputs, weight = inputs.to(dtype), weight.to(dtype)
    return _HeldConv2d.apply(inputs, weight, spans, options)
