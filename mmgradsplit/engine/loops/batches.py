"""Batches that are used more than once."""

import copy
from collections.abc import Mapping
from typing import Any


def with_own_samples(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch that a step may use up, where another step needs it again.

    Every step preprocesses the batch anew, and preprocessors may change tensors of data samples in
    place, as batch augmentations of mmdet scale boxes.

    Args:
        batch: What the dataloader gives; it stays as it is.
    """
    return dict(batch, data_samples=copy.deepcopy(batch['data_samples']))
