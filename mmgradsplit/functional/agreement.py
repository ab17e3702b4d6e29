"""How well two estimates of the relations between tasks agree."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .relations import relation_mask


class Agreement(NamedTuple):
    """Agreement of two estimates of the relations.

    Attributes:
        same: Number of relations, t' -> t with t' other than t, that both masks treat alike.
        pairs: Number of relations.
        rank_correlation: Spearman's, of the relations' values; NaN where one of the two is
            constant or there are fewer than three.
    """

    same: int
    pairs: int
    rank_correlation: float

    @property
    def share(self) -> float:
        """Share of the relations that both masks treat alike."""
        return self.same / self.pairs


def relation_agreement(
    first: ArrayLike, second: ArrayLike, first_threshold: float, second_threshold: float
) -> Agreement:
    """Compare two estimates of the same relations.

    Args:
        first: shape [T x T]; row t', column t is ``A[t' -> t]``. The diagonal is ignored.
        second: shape [T x T], the same relations on the same or another scale.
        first_threshold: Relations of ``first`` below it are negative.
        second_threshold: Relations of ``second`` below it are negative.

    Raises:
        ValueError: If the shapes differ, there are fewer than two tasks, or a relation is NaN.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.shape != other.shape or one.ndim != 2 or len(one) < 2:
        raise ValueError(
            f'relations of the same two or more tasks can be compared, but the matrices have the '
            f'shapes {one.shape} and {other.shape}'
        )
    off_diagonal = ~np.eye(len(one), dtype=bool)
    masks = relation_mask(one, first_threshold), relation_mask(other, second_threshold)
    values = one[off_diagonal], other[off_diagonal]
    correlation = float('nan')
    if len(values[0]) > 2 and all(np.ptp(v) > 0 for v in values):
        from scipy import stats  # half a second, which a training does without

        correlation = float(stats.spearmanr(*values).statistic)
    return Agreement(
        int((masks[0] == masks[1])[off_diagonal].sum()), int(off_diagonal.sum()), correlation
    )
