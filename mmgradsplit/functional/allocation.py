"""Allocations: which tasks each sample is supervised by in one sub-step (STA, ISTA)."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def allocations(
    annotated: ArrayLike,
    size: int,
    rng: np.random.Generator,
    weights: Sequence[float] | None = None,
) -> Iterator[NDArray[np.bool_]]:
    """The sub-steps of ISTA; the first of them is what STA takes (Algorithms 1 and 2).

    Every sample puts its tasks in a random order, and each sub-step takes the next ``size`` of
    them. So over all sub-steps a sample has each of its tasks exactly once, and the first sub-step
    takes a random subset.

    Args:
        annotated: shape [N x T], boolean; whether sample n is annotated for task t. A task without
            an annotation is never allocated, so a sample may have nothing left to do in the last
            sub-steps.
        size: Tasks a sample and sub-step, from 1 to T.
        rng: Source of the order.
        weights: Of the tasks, T of them, positive: a task is drawn next with a probability in
            proportion to its weight among those that are left. By default all are alike.

    Yields:
        shape [N x T], boolean; whether sample n is supervised by task t. Always ``ceil(T / size)``
        of them, so that all ranks take the same number of sub-steps.

    Raises:
        ValueError: If ``size`` or ``weights`` do not fit the tasks.
    """
    given = np.asarray(annotated, dtype=bool)
    count = given.shape[1]
    if not 1 <= size <= count:
        raise ValueError(f'the size of a subset must be from 1 to {count} (tasks), got {size}')
    scale = np.ones(count) if weights is None else np.asarray(weights, dtype=float)
    if scale.shape != (count,) or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(
            f'weights must be {count} positive numbers, one for each task, got {weights}'
        )
    # The order of exponential arrival times with these rates is that of draws without replacement.
    arrival = np.where(given, rng.exponential(size=given.shape) / scale, np.inf)
    rank = arrival.argsort(axis=1).argsort(axis=1)
    for start in range(0, count, size):
        yield given & (rank >= start) & (rank < start + size)
