"""Gradients in ``grad`` of parameters: their loss scale, adding to them, their mean over ranks."""

from collections.abc import Iterable, Sequence

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn


def trained(params: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Those that are trained at present."""
    return [param for param in params if param.requires_grad]


def loss_scale(wrapper: OptimWrapper) -> float:
    """The loss scale of mmengine's wrapper, by which its gradients are too large; 1 without one."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def add_gradients(params: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Add to ``grad`` of each parameter, as a backward pass does."""
    for param, gradient in zip(params, gradients, strict=True):
        if gradient is not None:
            param.grad = gradient if param.grad is None else param.grad + gradient


def average_gradients(params: Sequence[nn.Parameter]) -> None:
    """Replace ``grad`` of each parameter by its mean over the ranks; None stays where all have it.

    Args:
        params: The same on all ranks.
    """
    if get_world_size() == 1 or not params:
        return
    given = torch.tensor([param.grad is not None for param in params], dtype=torch.int64)
    all_reduce(given)
    gradients = []
    for param, number in zip(params, given, strict=True):
        if number:
            param.grad = torch.zeros_like(param) if param.grad is None else param.grad
            gradients.append(param.grad)
    all_reduce_params(gradients, op='mean')
