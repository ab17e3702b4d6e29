"""Filter groups: which output channels belong to which task (GradSplit, section 3.1)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def filter_groups(num_filters: int, num_tasks: int) -> list[tuple[int, int]]:
    """Split the output channels of one convolution into one filter group a task.

    Args:
        num_filters: ``c_o``, output channels of the convolution.
        num_tasks: ``T``.

    Returns:
        ``(start, stop)`` of each task's group: ``[t*n, (t+1)*n)`` with ``n = floor(c_o / T)``. The
        last ``c_o - T*n`` channels belong to no task.

    Raises:
        ValueError: If there are fewer filters than tasks.
    """
    size = num_filters // num_tasks
    if size == 0:
        raise ValueError(f'{num_filters} filters cannot be split among {num_tasks} tasks')
    return [(t * size, (t + 1) * size) for t in range(num_tasks)]


class Span(NamedTuple):
    """Output channels ``[start, stop)`` that the task steps of ``holders`` train."""

    start: int
    stop: int
    holders: frozenset[int]


def spans(num_filters: int, mask: NDArray[np.bool_]) -> list[Span]:
    """Channel spans of one convolution with the tasks that train each.

    Neighbouring filter groups that are trained by the same tasks form one span, so a mask of ones
    leaves the convolution whole, as in the multi-head baseline.

    Args:
        num_filters: ``c_o``, output channels of the convolution.
        mask: shape [T x T], ``m[t, t']`` of :func:`relation_mask`.

    Returns:
        Spans in channel order that together cover ``[0, c_o)``; left-over channels are held by
        every task.

    Raises:
        ValueError: If there are fewer filters than tasks.
    """
    num_tasks = len(mask)
    groups = filter_groups(num_filters, num_tasks)
    pieces = [
        Span(start, stop, frozenset(np.flatnonzero(mask[t]).tolist()))
        for t, (start, stop) in enumerate(groups)
    ]
    rest = groups[-1][1]
    if rest < num_filters:
        pieces.append(Span(rest, num_filters, frozenset(range(num_tasks))))
    merged = pieces[:1]
    for piece in pieces[1:]:
        if piece.holders == merged[-1].holders:
            merged[-1] = Span(merged[-1].start, piece.stop, piece.holders)
        else:
            merged.append(piece)
    return merged
