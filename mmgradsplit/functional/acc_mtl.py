"""The accuracy of all tasks as one number, acc_mtl."""

import math
from collections.abc import Iterable, Mapping, Sequence

from .delta_m import by_task


def acc_mtl(metrics: Mapping[str, float], lower_is_better: Iterable[str] = ()) -> float:
    """Geometric mean over the tasks of each task's accuracy (``Acc_MTL`` of AMTL).

    A task's accuracy is the geometric mean of its metrics; one of which a lower value is better
    counts by its reciprocal. The supplement prints no formula: this one gives all numbers of its
    Tables C to H within their rounding.

    Args:
        metrics: Value of each metric by ``task/metric``: in percent where higher is better, which
            counts as a share, and in its own unit (metres, degrees) where lower is better. So the
            scale is the paper's; in another unit all numbers change by one factor, and networks
            compare alike.
        lower_is_better: Names of the metrics of which a lower value is better.

    Returns:
        The accuracy; 0 where one of them is 0 (a network that is not trained), NaN where there is
        none: a negative metric, or an error of 0.

    Raises:
        ValueError: If there is no metric.
    """
    if not metrics:
        raise ValueError('acc_mtl is the mean of metrics, but got none')
    lower = set(lower_is_better)
    return _geometric_mean(
        [
            _geometric_mean([_accuracy(metrics[name], name in lower) for name in names])
            for names in by_task(metrics).values()
        ]
    )


def _accuracy(value: float, lower_is_better: bool) -> float:
    if value < 0 or (lower_is_better and value == 0):
        return math.nan
    return 1 / value if lower_is_better else value / 100


def _geometric_mean(values: Sequence[float]) -> float:
    return float(math.prod(values) ** (1 / len(values)))
