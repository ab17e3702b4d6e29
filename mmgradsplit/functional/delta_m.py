"""The summary of a multi-task network's accuracies, delta_m. May import nothing."""

from collections.abc import Iterable, Mapping


def delta_m(
    multi_task: Mapping[str, float],
    single_task: Mapping[str, float],
    lower_is_better: Iterable[str] = (),
) -> float:
    """Mean relative improvement over the single-task networks (GradSplit, section 4.1).

    ``delta_m = 100 / T * sum_i (-1)^{l_i} (M_m,i - M_s,i) / M_s,i``.

    Args:
        multi_task: Value of each metric of the multi-task network.
        single_task: Value of the same metrics of the single-task networks, none of them zero.
        lower_is_better: Names of the metrics of which a lower value is better.

    Returns:
        delta_m in percent; 0 where both networks are equal.

    Raises:
        ValueError: If the names differ or a single-task value is zero.
    """
    if set(multi_task) != set(single_task) or not single_task:
        raise ValueError(
            f'delta_m compares the same metrics, but got {sorted(multi_task)} and '
            f'{sorted(single_task)}'
        )
    lower = set(lower_is_better)
    total = 0.0
    for name, reference in single_task.items():
        if reference == 0:
            raise ValueError(f'delta_m divides by the single-task value of {name}, which is 0')
        sign = -1.0 if name in lower else 1.0
        total += sign * (multi_task[name] - reference) / reference
    return 100.0 * total / len(single_task)
