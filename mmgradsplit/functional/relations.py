"""Relations between tasks and the relation mask (GradSplit, section 3.1)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Below which a relation is negative, in GradSplit's experiments (section 3.1).
THRESHOLD = -0.01
CONFIDENCE = 0.95


def relative_change(together: float, alone: float, lower_is_better: bool = False) -> float:
    """Relation ``A[t' -> t]``: relative change of task t's accuracy.

    Args:
        together: Accuracy of task t when it is trained along with task t'.
        alone: Accuracy of task t when it is trained alone; not zero.
        lower_is_better: Whether the metric is one of which a lower value is better. The change
            then has the opposite sign, as in delta_m, so that positive is always a gain.

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
    change = (together - alone) / alone
    return -change if lower_is_better else change


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


class RepeatedChanges(NamedTuple):
    """Relations that were measured several times, each of shape [T x T].

    Attributes:
        mean: Mean over the measurements.
        spread: Standard deviation over the measurements (with n - 1); NaN for a single one.
        settled: Whether the measurements settle on which side of the threshold the relation is: the
            95% confidence interval of the mean (Student's t) leaves the threshold out. False for
            a single measurement. True on the diagonal.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    settled: NDArray[np.bool_]


def summarize_changes(changes: ArrayLike, threshold: float) -> RepeatedChanges:
    """Mean and spread of relations over seeds, and whether that settles the relation mask.

    Args:
        changes: shape [R x T x T], R measurements of ``A[t' -> t]``.
        threshold: The threshold of the relation mask.
    """
    samples = np.asarray(changes, dtype=float)
    count = len(samples)
    mean = samples.mean(0)
    if count == 1:
        spread = np.full(mean.shape, np.nan)
        return RepeatedChanges(mean, spread, np.eye(len(mean), dtype=bool))
    spread = samples.std(0, ddof=1)
    from scipy import stats  # half a second, which a training does without

    margin = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * spread / np.sqrt(count)
    settled = np.abs(mean - threshold) > margin
    return RepeatedChanges(mean, spread, settled | np.eye(len(mean), dtype=bool))


def by_name(matrix: NDArray, tasks: Sequence[str]) -> dict[str, Any]:
    """A matrix of relations as files hold it: by the name ``"t' -> t"``, without the diagonal.

    Args:
        matrix: shape [T x T]; row t', column t is what t' means for t.
        tasks: Names of the tasks.
    """
    return {
        f'{source} -> {target}': matrix[i, j].item()
        for i, source in enumerate(tasks)
        for j, target in enumerate(tasks)
        if i != j
    }
