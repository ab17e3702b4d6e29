"""The table of finished runs: runs that differ in their seed alone are one row, mean and spread."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmgradsplit.functional import acc_mtl, delta_m, delta_raw
from mmgradsplit.utils.tables import TextTable, mean_of, spread_of

from .report_runs import Run, printable, task_of
from .rows import ACC, DELTA, FINISHED, RAW, SECONDS, SUMS, spread_table


@dataclass
class RunRow:
    """Runs of one config over one or several seeds.

    Attributes:
        name: What it is called.
        runs: The runs, in the order in which they were given.
        extra: Further columns, such as #Param, see ``registry.REPORT_COLUMNS``: a value a run that
            counts, or a single one.
    """

    name: str
    runs: list[Run]
    extra: dict[str, list[float]] = field(default_factory=dict)

    @property
    def counted(self) -> list[Run]:
        """The finished runs; where there is none, all of them."""
        return [run for run in self.runs if run.state == FINISHED] or self.runs

    @property
    def number(self) -> int:
        """Number of the seeds that count."""
        return len(self.counted)

    @property
    def state(self) -> str:
        """What is wrong with which run."""
        wrong = [run for run in self.runs if run.state != FINISHED]
        if len(self.runs) == 1 or not wrong:
            return wrong[0].state if wrong else FINISHED
        texts = [f'seed {run.seed}: {run.state}' for run in wrong]
        return f'{len(self.runs) - len(wrong)} of {len(self.runs)} finished ({"; ".join(texts)})'

    def values(self, column: str) -> list[float]:
        """What the runs that count have in a column."""
        if column in self.extra:
            return self.extra[column]
        runs = self.counted
        found = [run.seconds if column == SECONDS else run.metrics.get(column) for run in runs]
        return [value for value in found if value is not None]


def group(runs: Sequence[Run]) -> list[RunRow]:
    """Put runs whose configs differ in ``randomness.seed`` alone into one row.

    A second run of a seed is a row of its own: it would make the spread look smaller.
    """
    rows: list[tuple[str, list[Run]]] = []
    for run in runs:
        for other, same in rows:
            if run.content == other and run.seed not in [r.seed for r in same]:
                same.append(run)
                break
        else:
            rows.append((run.content, [run]))
    named = []
    for _, same in rows:
        names = {run.name for run in same}
        named.append(RunRow(same[0].name if len(names) == 1 else same[0].config_name, same))
    taken = [row.name for row in named]
    for row in named:
        if taken.count(row.name) > 1:
            row.name = printable(row.runs[0].folder)
    return named


def sum_up(run: Run, references: Mapping[str, float], lower_is_better: Iterable[str]) -> None:
    """Set a run's ``acc_mtl``, ``delta_m`` and ``delta_raw`` by other references than its config's.

    They are left out where a task has no reference, or its metric is not there.
    """
    for name in SUMS:
        run.metrics.pop(name, None)
    tasks = {task_of(name) for name in run.main_metrics}
    own = {name: value for name, value in references.items() if task_of(name) in tasks}
    measured = {name: run.metrics.get(name, math.nan) for name in own}
    if {task_of(name) for name in own} == tasks and all(map(math.isfinite, measured.values())):
        run.metrics[ACC] = acc_mtl(measured, lower_is_better)
        run.metrics[DELTA] = delta_m(measured, own, lower_is_better)
        run.metrics[RAW] = delta_raw(measured, own, lower_is_better)


def columns_of(rows: Sequence[RunRow], every: bool = False) -> list[str]:
    """Metrics (the main or all), acc_mtl, delta_m, cost and time, as far as any row has them."""
    names: dict[str, None] = {}
    for run in (run for row in rows for run in row.runs):
        names.update(dict.fromkeys(run.metrics if every else run.main_metrics))
    last = [*SUMS, *(name for row in rows for name in row.extra), SECONDS]
    names = {name: None for name in names if name not in last} | dict.fromkeys(last)
    hidden = () if every else (RAW,)
    return [n for n in names if n not in hidden and any(row.values(n) for row in rows)]


def build_table(rows: Sequence[RunRow]) -> TextTable:
    """The table of the main metrics."""
    return spread_table('run', rows, {name: name for name in columns_of(rows)})


def write_csv(rows: Sequence[RunRow], path: Path) -> None:
    """Write the table with every metric: its mean, and its standard deviation with n - 1."""
    columns = columns_of(rows, every=True)
    headings = ['run', 'state', 'seeds', *columns, *(f'{name} std' for name in columns)]
    lines = []
    for row in rows:
        seeds = ' '.join(str(run.seed) for run in row.counted)
        values = [row.values(name) for name in columns]
        means = [str(mean_of(of)) if of else '' for of in values]
        spreads = [str(spread_of(of)) if len(of) > 1 else '' for of in values]
        lines.append([row.name, row.state, seeds, *means, *spreads])
    path.write_text(TextTable(headings, lines).comma_separated(), encoding='utf-8')
