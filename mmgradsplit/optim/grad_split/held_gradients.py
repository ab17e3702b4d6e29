"""Weight gradients of the filters that a task step may move, and of no others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

Spans = Sequence[tuple[int, int]]


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


class HeldGradients(TorchFunctionMode):
    """Within this context, convolutions compute the weight gradients of held filters alone.

    The forward pass is that of ``torch.conv2d``. Other convolutions than plain 2-d ones
    without bias and groups take the ordinary way: their gradients are computed whole, and the
    update drops what is not held.

    Args:
        spans: The held output channels ``(start, stop)`` of each convolution weight.
    """

    def __init__(self, spans: Mapping[nn.Parameter, Spans]) -> None:
        super().__init__()
        self.spans = dict(spans)

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7 and args[2] is None:
            inputs, weight, _, stride, padding, dilation, groups = args
            # A parameter compares by identity as a key; other tensors are no keys of ours.
            ours = isinstance(weight, nn.Parameter) and weight in self.spans
            if ours and groups == 1 and not isinstance(padding, str):
                spans = self.spans[weight]
                if torch.is_autocast_enabled(inputs.device.type):
                    dtype = torch.get_autocast_dtype(inputs.device.type)
                    inputs, weight = inputs.to(dtype), weight.to(dtype)
                options = (stride, padding, dilation, groups)
                return _HeldConv2d.apply(inputs, weight, spans, options)
        return func(*args, **(kwargs or {}))
