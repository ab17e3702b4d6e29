"""Angles between task gradients, and how often they conflict (GradSplit, section 4.4, Figure 3)."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def cosine_matrix(gradients: Sequence[Tensor]) -> NDArray[np.float64]:
    """Cosine similarity of every two task gradients.

    Args:
        gradients: T vectors of the same length.

    Returns:
        shape [T x T], symmetric. A gradient of zero, which has no direction, is orthogonal to all.

    Raises:
        ValueError: If there is no gradient, or they are not vectors of the same length.
    """
    shapes = {tuple(gradient.shape) for gradient in gradients}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f'task gradients must be vectors of one length, but have {shapes}')
    # In double precision, for the squares of small gradients vanish in single precision.
    matrix = torch.stack(list(gradients)).double()
    norms = matrix.norm(dim=1, keepdim=True)
    unit = matrix / norms.where(norms > 0, 1.0)
    return (unit @ unit.T).clamp(-1.0, 1.0).cpu().numpy()


def conflict_frequency(cosines: ArrayLike) -> NDArray[np.float64]:
    """How often two task gradients conflict: the share of repeats with a negative cosine.

    Args:
        cosines: shape [N x T x T], the cosine similarities of N repeats.

    Returns:
        shape [T x T], in [0, 1]; gradients of random directions conflict in half of the repeats.

    Raises:
        ValueError: If there is no repeat.
    """
    array = np.asarray(cosines, dtype=float)
    if array.ndim != 3 or not len(array) or array.shape[1] != array.shape[2]:
        raise ValueError(f'cosines must have the shape [N x T x T], but have {array.shape}')
    return (array < 0).mean(0)


def loss_change(before: ArrayLike, after: ArrayLike) -> NDArray[np.float64]:
    """Relative improvement of a loss by a step, ``1 - after / before`` for positive losses.

    Its sign is that of ``A[t' -> t]``: positive where the step of t' helps t.

    Args:
        before: The loss, or several.
        after: The same after the step.

    Returns:
        The shape of both, broadcast; NaN where the change is not defined: a loss of zero, or one
        that is not finite.
    """
    first, second = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    with np.errstate(divide='ignore', invalid='ignore'):
        change = (first - second) / np.abs(first)
    return np.where(np.isfinite(change), change, np.nan)
