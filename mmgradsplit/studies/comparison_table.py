"""The table of a comparison of methods: a row a method, mean and spread over the seeds.

May import the mathematics and rich.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from rich import box
from rich.table import Table

from mmgradsplit.functional import acc_mtl, delta_m
from mmgradsplit.utils.tables import mean_and_spread

ACC, DELTA = 'acc_mtl', 'delta_m'
DECIMALS = {ACC: 4}
DIVERGED = 'diverged'


@dataclass
class Row:
    """What was measured of one method.

    Attributes:
        name: The method.
        seeds: The seeds it was to be trained with.
        metrics: The metrics of the trainings that came to an end with finite ones, by seed.
        problems: What became of the others, by seed: ``'diverged'``, ``'failed'``, …
    """

    name: str
    seeds: Sequence[int]
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)

    def add(
        self,
        seed: int,
        metrics: Mapping[str, float],
        single_task: Mapping[str, float],
        lower_is_better: Iterable[str],
    ) -> None:
        """Add the metrics of a seed with their sums, ``acc_mtl`` and ``delta_m``.

        Args:
            seed: The seed.
            metrics: All metrics of the training.
            single_task: What ``delta_m`` is relative to, by the metric's name.
            lower_is_better: Names of the metrics of which a lower value is better.
        """
        named = {name: metrics[name] for name in single_task}
        if not all(map(math.isfinite, named.values())):
            self.problems[seed] = DIVERGED
            return
        lower = set(lower_is_better)
        sums = {ACC: acc_mtl(named, lower), DELTA: delta_m(named, single_task, lower)}
        self.metrics[seed] = {**metrics, **sums}

    def values(self, column: str) -> list[float]:
        """The values of a metric, one a seed that has it."""
        return [metrics[column] for metrics in self.metrics.values() if column in metrics]

    @property
    def state(self) -> str:
        """What is wrong, in words; nothing where all is well."""
        kinds = dict.fromkeys(self.problems.values())
        if len(kinds) == 1 and len(self.problems) == len(self.seeds):
            return next(iter(kinds))
        return ', '.join(
            f'{kind}: seed {" ".join(str(s) for s, of in self.problems.items() if of == kind)}'
            for kind in kinds
        )

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Mean and standard deviation (with n - 1) of each metric, None where there is none."""
        columns = dict.fromkeys(name for metrics in self.metrics.values() for name in metrics)
        found = {name: [v for v in self.values(name) if math.isfinite(v)] for name in columns}
        return {
            name: dict(mean=mean(of), std=stdev(of) if len(of) > 1 else None)
            for name, of in found.items()
            if of
        }


def build_table(
    rows: Sequence[Row],
    metrics: Sequence[str],
    lower_is_better: Iterable[str],
    style: box.Box = box.HEAVY_HEAD,
) -> Table:
    """The table, for the terminal or in Markdown.

    Args:
        rows: The rows.
        metrics: Names of the metrics that ``delta_m`` is made of.
        lower_is_better: Those of which a lower value is better.
        style: Its lines.
    """
    table = Table(box=style)
    in_lines = style is not box.MARKDOWN
    lower = set(lower_is_better)
    columns = {'method': [row.name for row in rows]}
    for name in [*metrics, ACC, DELTA]:
        header = f'{name} {"↓" if name in lower else "↑"}'
        digits, sign = DECIMALS.get(name, 2), '+' if name == DELTA else ''
        columns[header] = [mean_and_spread(row.values(name), digits, sign) for row in rows]
    columns['seeds'] = [str(len(row.metrics)) for row in rows]
    columns['state'] = [row.state for row in rows]
    for name, texts in columns.items():
        header = name.replace('/', '\n') if in_lines else name
        table.add_column(
            header,
            justify='left' if name in ('method', 'state') else 'right',
            no_wrap=True,
            min_width=max(map(len, [*header.split('\n'), *texts])),
        )
    for i, row in enumerate(rows):
        mark = 'yellow' if row.state and in_lines else ''
        table.add_row(*(texts[i] for texts in columns.values()), style=mark)
    return table


def finite(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Metrics as JSON can hold them: None for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
