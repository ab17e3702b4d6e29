"""A multi-task network compared with the single-task ones: delta_m, and STA's Delta_MTL."""

from collections.abc import Callable, Iterable, Mapping


def by_task(names: Iterable[str]) -> dict[str, list[str]]:
    """Names of metrics by task, which is what a name like ``'task/metric'`` begins with."""
    tasks: dict[str, list[str]] = {}
    for name in names:
        tasks.setdefault(name.partition('/')[0], []).append(name)
    return tasks


def delta_m(
    multi_task: Mapping[str, float],
    single_task: Mapping[str, float],
    lower_is_better: Iterable[str] = (),
) -> float:
    """Mean relative improvement over the single-task networks (GradSplit, section 4.1).

    ``delta_m = 100 / T * sum_i (-1)^{l_i} (M_m,i - M_s,i) / M_s,i``. Of a task with several metrics
    the mean over them counts; so it is AMTL's ``Delta_MTL`` (its supplement, Tables C to H).

    Args:
        multi_task: Value of each metric of the multi-task network, by ``task/metric``.
        single_task: Value of the same metrics of the single-task networks, none of them zero.
        lower_is_better: Names of the metrics of which a lower value is better.

    Returns:
        delta_m in percent; 0 where both networks are equal.

    Raises:
        ValueError: If the names differ or a single-task value is zero.
    """

    def change(name: str) -> float:
        reference = single_task[name]
        if reference == 0:
            raise ValueError(f'delta_m divides by the single-task value of {name}, which is 0')
        return (multi_task[name] - reference) / reference

    return 100.0 * _mean(change, multi_task, single_task, lower_is_better)


def delta_raw(
    multi_task: Mapping[str, float],
    single_task: Mapping[str, float],
    lower_is_better: Iterable[str] = (),
) -> float:
    """Mean difference from the single-task networks, ``Delta_MTL`` as STA's tables have it.

    ``1 / T * sum_i (-1)^{l_i} (M_m,i - M_s,i)``, of metrics in their own units: percent of mIoU
    and metres of depth are added up. STA prints no formula; this one gives the numbers of its
    Tables 1, 2, 3, 5 and 7 within their rounding, and COCO's of Table 4. Of a task with several
    metrics the mean over them counts.

    Args:
        multi_task: As for :func:`delta_m`.
        single_task: As for :func:`delta_m`; it may be zero.
        lower_is_better: As for :func:`delta_m`.

    Returns:
        The mean difference; 0 where both networks are equal.

    Raises:
        ValueError: If the names differ.
    """

    def change(name: str) -> float:
        return multi_task[name] - single_task[name]

    return _mean(change, multi_task, single_task, lower_is_better)


def _mean(
    change: Callable[[str], float],
    multi_task: Mapping[str, float],
    single_task: Mapping[str, float],
    lower_is_better: Iterable[str],
) -> float:
    """The mean over the tasks of the mean over their metrics, positive where it is a gain."""
    if set(multi_task) != set(single_task) or not single_task:
        raise ValueError(
            f'delta_m compares the same metrics, but got {sorted(multi_task)} and '
            f'{sorted(single_task)}'
        )
    lower = set(lower_is_better)
    tasks = by_task(single_task)
    total = 0.0
    for names in tasks.values():
        gains = (-change(name) if name in lower else change(name) for name in names)
        total += sum(gains, 0.0) / len(names)
    return total / len(tasks)
