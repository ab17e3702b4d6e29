"""Batches with an allocation: preprocessing, and the samples of one task."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# What a loop adds to a batch, and no preprocessor knows.
ADDED = ('task', 'allocation', 'counts')


class AllocationPreprocessor(nn.Module):
    """A model's data preprocessor that leaves what a loop has added to the batch in it.

    Args:
        preprocessor: The preprocessor for inputs and data samples.
    """

    def __init__(self, preprocessor: nn.Module) -> None:
        super().__init__()
        self.preprocessor = preprocessor

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess ``inputs`` and ``data_samples``."""
        return preprocess(self.preprocessor, data, training)


class IndicesOnDevice(TorchFunctionMode):
    """Hands lists of indices, such as the channels ``[2, 1, 0]``, to a device as a tensor there.

    A list travels to the device whenever it is used, which waits for the device: preprocessors turn
    the colours of each image by one.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call ``func``."""
        if func is Tensor.__getitem__ and args[0].device.type != 'cpu':
            tensor, index = args
            parts = index if isinstance(index, tuple) else (index,)
            if any(_is_indices(part) for part in parts):
                there = (
                    _on_device(tuple(p), tensor.device) if _is_indices(p) else p for p in parts
                )
                args = (tensor, tuple(there))
        return func(*args, **(kwargs or {}))


def _is_indices(part: Any) -> bool:
    return isinstance(part, list) and all(type(number) is int for number in part)


@lru_cache(maxsize=64)
def _on_device(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)


def preprocess(preprocessor: nn.Module, data: dict, training: bool) -> dict:
    """What a preprocessor makes of a batch, with what the loop has added."""
    own = {key: value for key, value in data.items() if key not in ADDED}
    added = {key: value for key, value in data.items() if key in ADDED}
    device = getattr(preprocessor, 'device', None)
    here = device is None or device.type == 'cpu'
    with nullcontext() if here else IndicesOnDevice():
        return dict(preprocessor(own, training), **added)


def take(features: Any, rows: NDArray[np.int64]) -> Any:
    """The given samples of a tensor, or of each tensor of a sequence; all of them: as they are.

    Args:
        features: shape [N x ...], or a list or tuple of such.
        rows: Different samples, in order.
    """
    if not isinstance(features, torch.Tensor):
        return type(features)(take(part, rows) for part in features)
    if len(rows) == len(features):
        return features
    return features[torch.from_numpy(rows).to(features.device)]
