"""The model inside what is wrapped around it, and what tells its weights from others."""

import hashlib
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> Any:
    """The model inside DistributedDataParallel, or the model."""
    return model.module if is_model_wrapper(model) else model


def fingerprint(model: nn.Module) -> str:
    """A text that two networks share where their weights and buffers are equal bit for bit.

    Args:
        model: The network, or DistributedDataParallel around it.
    """
    digest = hashlib.sha256()
    for name, value in sorted(unwrapped(model).state_dict().items()):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
