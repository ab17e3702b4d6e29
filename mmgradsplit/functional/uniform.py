"""The uniform weighting of task losses."""

from collections.abc import Mapping

import torch
from torch import Tensor


def uniform_loss(
    losses: Mapping[str, Tensor], count: int, weights: Mapping[str, float] | None = None
) -> Tensor:
    """``1/K * sum_t lambda_t l_t`` (STA, Algorithm 1). A task without a sample adds nothing.

    Args:
        losses: The loss of each task that has a sample, a scalar each; at least one.
        count: ``K``, the tasks that a step serves: all of them in joint training, one in a task
            step.
        weights: ``lambda_t`` by task, for those that are not 1.

    Returns:
        A scalar.
    """
    terms = [(weights or {}).get(task, 1.0) * loss for task, loss in losses.items()]
    return torch.stack(terms).sum() / count
