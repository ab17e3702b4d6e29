"""How often task gradients conflict, layer by layer (GradSplit, section 4.4, Figure 3)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mmgradsplit.functional import conflict_frequency, derive_seed

from .task_batches import TaskBatches
from .task_gradients import gradient_cosines, preprocessed, task_gradients

Layers = dict[str, dict[str, list]]


def measure_cosines(
    model: Any,
    batches: TaskBatches,
    parameters: Mapping[str, Sequence[nn.Parameter]],
    positions: Iterable[int],
    leaves: Sequence[Any] = (),
) -> dict[str, NDArray[np.float64]]:
    """Cosine similarities of task gradients on one batch a task, repeated.

    Args:
        model: A MultiTaskModel of T tasks, in training mode. Its running statistics move.
        batches: Batches of all its tasks.
        parameters: Parameters of each module.
        positions: Positions of the batches, N of them, one a repeat.
        leaves: As for :func:`~mmgradsplit.analysis.task_gradients.task_gradients`.

    Returns:
        By module, shape [N x T x T].
    """
    cosines: dict[str, list] = {name: [] for name in parameters}
    for position in positions:
        seed = derive_seed(batches.seed, position)
        data = preprocessed(model, batches.at(position), seed)
        gradients = task_gradients(model, data, parameters, seed, leaves)
        for name, matrix in gradient_cosines(gradients).items():
            cosines[name].append(matrix)
    return {name: np.stack(matrices) for name, matrices in cosines.items()}


def summarize_cosines(cosines: Mapping[str, NDArray[np.float64]]) -> Layers:
    """Mean and standard deviation of the cosines, and conflict frequencies, as JSON holds them.

    Args:
        cosines: By module, shape [N x T x T].

    Returns:
        By module ``cosine_mean``, ``cosine_std`` and ``frequency``, each T lists of T numbers.
    """
    return {
        name: dict(
            cosine_mean=of.mean(0).tolist(),
            cosine_std=of.std(0).tolist(),
            frequency=conflict_frequency(of).tolist(),
        )
        for name, of in cosines.items()
    }
