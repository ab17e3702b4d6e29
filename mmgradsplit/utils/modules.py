"""The model inside what is wrapped around it."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> Any:
    """The model inside DistributedDataParallel, or the model."""
    return model.module if is_model_wrapper(model) else model
