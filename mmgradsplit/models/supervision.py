"""The task losses of joint training. May import torch, mmengine.dist and this room."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from numpy.typing import NDArray
from torch import Tensor

from .batches import take


def supervised_losses(
    model: Any,
    inputs: Tensor,
    samples: Sequence,
    allocation: NDArray[np.bool_],
    counts: NDArray[np.int64] | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """The loss of each task that has a sample: the mean over its samples, on all ranks.

    Args:
        model: A MultiTaskModel.
        inputs: shape [N x 3 x H x W], preprocessed.
        samples: N data samples with the annotations of all tasks.
        allocation: shape [N x T], which tasks each sample is supervised by.
        counts: shape [T], samples allocated to each task on all ranks; None to leave other ranks
            alone.

    Returns:
        The losses by task, what is logged, and a zero that keeps a rank without any sample in step
        with the others.
    """
    totals = allocation.sum(0) if counts is None else counts
    column = {task: index for index, task in enumerate(model.tasks)}
    losses: dict[str, Tensor] = {}
    logs: dict[str, Tensor] = {}
    nothing = inputs.new_zeros(())
    for group in model.passes:
        rows = np.flatnonzero(allocation[:, [column[task] for task in group]].any(1))
        if not len(rows):
            if get_world_size() == 1:
                continue
            rows = np.arange(1)
        images = take(inputs, rows)
        features = model.backbone_pass(images, group[0])
        if get_world_size() > 1:
            nothing = nothing + 0 * sum(part.sum() for part in _parts(features))
        for task in group:
            own = np.flatnonzero(allocation[rows, column[task]])
            if not len(own):
                continue
            part = take(images, own)
            with model.backbone_pass.hand_out(part, take(features, own)):
                outputs = model.tasks[task](part, [samples[rows[i]] for i in own], mode='loss')
            loss, log_vars = model.parse_losses(outputs)
            # DistributedDataParallel takes the mean over the ranks, whatever their samples.
            share = len(own) * get_world_size() / totals[column[task]]
            losses[task] = loss if share == 1 else loss * share
            logs.update({f'{task}/{name}': value for name, value in log_vars.items()})
    if counts is not None:
        losses = mean_of_ranks(losses, list(model.tasks), nothing)
    return losses, logs, nothing


def mean_of_ranks(
    losses: Mapping[str, Tensor], tasks: Sequence[str], nothing: Tensor
) -> dict[str, Tensor]:
    """The mean of each task's loss over the ranks.

    A weighting that is not linear needs the losses themselves, not a rank's part of them. The
    gradient is that of this rank's part: DistributedDataParallel takes the mean of the gradients.

    Args:
        losses: This rank's losses by task, scalars, of the tasks with a sample.
        tasks: Names of all tasks.
        nothing: A scalar zero, for a task with a sample on other ranks alone.

    Returns:
        The mean of each task with a sample on any rank; in one process, the losses as they are.
    """
    if get_world_size() == 1:
        return dict(losses)
    own = [losses.get(task, nothing) for task in tasks]
    given = [float(task in losses) for task in tasks]
    # In one type on all ranks, whatever their samples.
    values = torch.stack([value.detach().double() for value in own])
    shared = torch.stack([values, values.new_tensor(given)])
    all_reduce(shared, 'mean')
    means, anywhere = shared
    return {
        task: value + (mean - value.detach()).to(value)
        for task, value, mean, any_rank in zip(tasks, own, means, anywhere.tolist(), strict=True)
        if any_rank
    }


def _parts(features: Any) -> Sequence[Tensor]:
    return [features] if isinstance(features, Tensor) else list(features)
