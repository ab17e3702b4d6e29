"""What a step of one task does to the losses of the others."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.functional import loss_change

from .task_gradients import task_loss


@contextmanager
def stepped(
    parameters: Sequence[nn.Parameter], gradient: Tensor, learning_rate: float
) -> Iterator[None]:
    """Within this context, a plain gradient step has been taken; after it, it is undone exactly.

    Args:
        parameters: What the step moves.
        gradient: Their flattened gradients, one after the other, shape [P].
        learning_rate: Length of the step in gradients.
    """
    before = [parameter.detach().clone() for parameter in parameters]
    pieces = gradient.split([parameter.numel() for parameter in parameters])
    with torch.no_grad():
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.sub_(learning_rate * piece.view_as(parameter))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)


@torch.no_grad()
def lookahead_changes(
    model: Any,
    parameters: Sequence[nn.Parameter],
    gradients: Mapping[str, Tensor],
    held_out: Mapping[str, dict],
    learning_rates: Mapping[str, float],
    seed: int,
) -> NDArray[np.float64]:
    """Relative change of each task's loss by a step of each other task.

    A loss is computed in the model's own mode and with the same random numbers before and after
    the step, so that the step is all that differs.

    Args:
        model: A MultiTaskModel of T tasks; its running statistics move.
        parameters: The parameters that the tasks share.
        gradients: The gradient of each task on them, flattened, shape [P].
        held_out: Preprocessed batch of each task, other samples than those of the gradients.
        learning_rates: Learning rate of each task.
        seed: Seed of what the forward passes draw.

    Returns:
        shape [T x T]: row t', column t is ``1 - L_t(after the step of t') / L_t(before)``: positive
        where t' helps t, as ``A[t' -> t]``. Zero on the diagonal; NaN where a loss is zero or not
        finite.
    """
    before = {task: task_loss(model, data, seed).item() for task, data in held_out.items()}
    changes = np.zeros((len(before), len(before)))
    for i, (source, gradient) in enumerate(gradients.items()):
        with stepped(parameters, gradient, learning_rates[source]):
            for j, (target, data) in enumerate(held_out.items()):
                if target != source:
                    after = task_loss(model, data, seed).item()
                    changes[i, j] = loss_change(before[target], after)
    return changes
