"""acc_mtl, and delta_m over several metrics a task, against the numbers printed by AMTL."""

import csv
import math
from pathlib import Path
from statistics import geometric_mean

import pytest

from mmgradsplit.functional import acc_mtl, delta_m

# AMTL, supplement, Tables C to H, as printed.
with Path(__file__).with_name('amtl_tables.csv').open(newline='') as file:
    ROWS = list(csv.DictReader(file))
UNITS = {
    'seg/mIoU': 100, 'depth/delta1': 100, 'depth/rmse': 1,
    'normal/mean': 1, 'normal/median': 1, 'normal/11.25': 100,
}  # fmt: skip
LOWER = ('depth/rmse', 'normal/mean', 'normal/median')


def metrics_of(row: dict[str, str]) -> dict[str, float]:
    """A row's metrics as our evaluators give them: shares in percent."""
    printed = {name: row[name.split('/')[1]] for name in UNITS}
    return {name: UNITS[name] * float(text) for name, text in printed.items() if text}


@pytest.mark.parametrize('table', 'CDEFGH')
def test_all_rows_of_the_tables_of_the_paper(table: str) -> None:
    rows = {row['method']: row for row in ROWS if row['table'] == table}
    assert len(rows) == 13
    single = metrics_of(rows['Single-Task'])
    ours = {method: metrics_of(row) for method, row in rows.items()}
    # Rounding the metrics to 0.0001 moves acc_mtl by up to 0.00007, delta_m by up to 0.02; to
    # this comes half of the last digit printed of each.
    assert {method: acc_mtl(metrics, LOWER) for method, metrics in ours.items()} == pytest.approx(
        {method: float(row['acc_mtl']) for method, row in rows.items()}, abs=0.00007 + 0.00005
    )
    assert {
        method: delta_m(metrics, single, LOWER) for method, metrics in ours.items()
    } == pytest.approx(
        {method: float(row['delta_mtl']) for method, row in rows.items()}, abs=0.02 + 0.005
    )


# ---- acc_mtl ----


def test_with_a_metric_a_task_it_is_their_geometric_mean() -> None:
    values = {'a/x': 12.0, 'b/x': 47.0, 'c/x': 93.0}
    assert 100 * acc_mtl(values) == pytest.approx(geometric_mean(values.values()))


def test_tasks_count_alike_however_many_metrics_they_have() -> None:
    one, several = {'a/x': 40.0, 'b/x': 90.0}, {'a/x': 40.0, 'b/x': 90.0, 'b/y': 81.0, 'b/z': 100.0}
    assert acc_mtl(several) == pytest.approx(acc_mtl(one))  # 0.9 of 0.9, 0.81 and 1


def test_half_an_error_is_twice_an_accuracy() -> None:
    whole = acc_mtl({'a/x': 40.0, 'b/error': 2.0}, ['b/error'])
    assert acc_mtl({'a/x': 80.0, 'b/error': 2.0}, ['b/error']) == pytest.approx(2**0.5 * whole)
    assert acc_mtl({'a/x': 40.0, 'b/error': 1.0}, ['b/error']) == pytest.approx(2**0.5 * whole)


def test_units_do_not_change_how_networks_compare() -> None:
    single, multi = (metrics_of(row) for row in ROWS[:2])

    def ratio(unit: float) -> float:
        def seen(metrics: dict[str, float]) -> float:
            return acc_mtl(dict(metrics, **{'depth/rmse': unit * metrics['depth/rmse']}), LOWER)

        return seen(multi) / seen(single)

    assert ratio(1) == pytest.approx(ratio(1000))  # metres, or millimetres


def test_an_untrained_network_has_0_and_what_has_no_mean_is_nan() -> None:
    assert acc_mtl({'a/x': 0.0, 'b/error': 2.0}, ['b/error']) == 0
    assert acc_mtl({'a/x': 50.0, 'b/error': math.inf}, ['b/error']) == 0
    for metrics in ({'a/x': 50.0, 'b/error': 0.0}, {'a/x': -1.0, 'b/error': 2.0},
                    {'a/x': -1.0, 'b/error': -2.0}, {'a/x': math.nan, 'b/error': 2.0}):  # fmt: skip
        assert math.isnan(acc_mtl(metrics, ['b/error']))
    with pytest.raises(ValueError, match='none'):
        acc_mtl({})


# ---- delta_m ----


def test_a_task_counts_by_the_mean_of_its_metrics() -> None:
    single = {'a/x': 50.0, 'b/x': 10.0, 'b/error': 4.0}
    multi = {'a/x': 45.0, 'b/x': 12.0, 'b/error': 1.0}
    # a: -10 %; b: +20 % and +75 %.
    assert delta_m(multi, single, ['b/error']) == pytest.approx((-10 + (20 + 75) / 2) / 2)
