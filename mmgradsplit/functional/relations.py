"""Relations between tasks and the relation mask (GradSplit, section 3.1).

May import numpy only.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def relative_change(together: float, alone: float) -> float:
    """Relation ``A[t' -> t]``: relative change of task t's accuracy.

    Args:
        together: Accuracy of task t when it is trained along with task t'.
        alone: Accuracy of task t when it is trained alone; not zero.

    Returns:
        ``(together - alone) / alone`` (GradSplit, section 3.1).

    Raises:
        ValueError: If ``alone`` is zero or one of the two is not finite.
    """
    if not (np.isfinite(together) and np.isfinite(alone)) or alone == 0:
        raise ValueError(
            f'a relative change needs finite accuracies and a single-task accuracy other than '
            f'0, but got {together} together and {alone} alone'
        )
    return (together - alone) / alone


def relation_mask(changes: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Relation mask ``m`` of Eq. 2 and a-1 of GradSplit.

    Args:
        changes: shape [T x T]; row t', column t holds ``A[t' -> t]``, as Table A-1 is printed
            (trained with t', performance on t). The diagonal is ignored.
        threshold: The relation t' -> t is negative where ``A[t' -> t] < threshold``. ``inf`` gives
            the identity, ``-inf`` a mask of ones.

    Returns:
        shape [T x T], boolean; ``m[t, t']`` says whether a task step of t' may move the filter
        group of t.

    Raises:
        ValueError: If ``changes`` is not square, or holds a NaN off the diagonal, or the threshold
            is NaN.
    """
    matrix = np.asarray(changes, dtype=float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f'relations must form a square matrix, but have shape {matrix.shape}')
    own = np.eye(len(matrix), dtype=bool)
    if np.isnan(threshold) or np.isnan(matrix[~own]).any():
        raise ValueError('relations and their threshold must not be NaN')
    # A threshold of inf means that every relation is negative, even one of +inf.
    negative = np.full(matrix.shape, True) if threshold == np.inf else matrix < threshold
    return own | ~negative.T
