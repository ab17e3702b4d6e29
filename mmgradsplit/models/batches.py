"""Batches with an allocation: preprocessing, and the samples of one task."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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


def preprocess(preprocessor: nn.Module, data: dict, training: bool) -> dict:
    """What a preprocessor makes of a batch, with what the loop has added."""
    own = {key: value for key, value in data.items() if key not in ADDED}
    added = {key: value for key, value in data.items() if key in ADDED}
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
