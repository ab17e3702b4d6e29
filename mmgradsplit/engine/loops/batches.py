"""Batches that are used more than once."""

import copy
from collections.abc import Mapping
from typing import Any

from .packing import tensors_of


def with_own_samples(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch that a step may use up, where another step needs it again.

    Every step preprocesses the batch anew, and preprocessors may change tensors of data samples in
    place, as batch augmentations of mmdet scale boxes.

    Args:
        batch: What the dataloader gives; it stays as it is.
    """
    samples = batch['data_samples']
    # Of a tensor that is a view, a deep copy has all of the memory that is viewed.
    own = {id(tensor): tensor.clone() for tensor in tensors_of(samples)}
    return dict(batch, data_samples=copy.deepcopy(samples, own))
