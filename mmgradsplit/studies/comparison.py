"""Compares methods by trainings over seeds: what tools/compare_methods.py and a notebook call."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mmengine.config import Config
from rich.markup import escape

from mmgradsplit.functional import acc_mtl, delta_m, delta_raw
from mmgradsplit.utils import write_json
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import draw_comparison, save_figure

from .comparison_plan import Plan, make_plan
from .measured import provenance
from .rows import ACC, DELTA, RAW, spread_table
from .study import Study
from .trainings import Failure, Training

FILE, TABLE, PICTURE = 'comparison.json', 'comparison.md', 'comparison.png'
# Of the single-task networks, as the methods were given them.
REFERENCES = 'references.json'
SINGLE = 'single-task'
DIVERGED, FAILED, LEFT_OUT = 'diverged', 'failed', 'left out'
SPREAD = 'Mean ± standard deviation (n − 1) over the seeds; delta_m in percent.'


def compare_methods(
    config: str | Path | Config,
    out: str | Path,
    *,
    methods: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    accuracies: Sequence[str] | None = None,
    repeat: int = 3,
    **options: Any,
) -> Path:
    """Compare multi-task optimisation methods on a config, joint or round-robin, over seeds.

    The single-task networks are trained first, by the config's plain optimizer, then the network of
    all tasks by each method, with the config's own schedule. A call may add methods or seeds to an
    earlier one's.

    The folder holds the trainings in ``<task or method>/seed_<seed>``, and in the end
    ``comparison.json``, ``comparison.md`` and ``comparison.png``. A training that diverges, or
    fails, does not stop the others.

    Args:
        config: Config file of a multi-task network, or a config.
        out: Folder of the results.
        methods: Names out of ``configs/_base_/methods``, or method files; by default, all of them.
        metrics: What ``delta_m`` and ``acc_mtl`` are made of, one or several a task, as
            ``task/metric``. By default, what ``val_cfg.references`` names (which also says where a
            lower value is better; the values are measured), else ``accuracies``.
        accuracies: The accuracy in percent of each task, for methods that follow it; the mean of
            the single-task networks is what AMTL's potentials are made of. By default, those that
            the config names, else the first of each task in ``metrics`` of which a higher value is
            better.
        repeat: Number of seeds, from ``randomness.seed`` of the config on (0 if it has none).
        **options: ``gpus``, ``processes``, ``amp``, ``cfg_options`` and ``console``, see
            :class:`~mmgradsplit.studies.study.Study`.

    Returns:
        The path of ``comparison.json``.

    Raises:
        ValueError: If the config is not one of several tasks, a method is unknown, a task has no
            metric, the folder is of another config, or a single-task value is zero.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed, after all others have been finished.
    """
    study = Study(out, repeat, **options)
    plan = make_plan(study, study.prepare(config), methods, metrics, accuracies)
    root, alone = study.root, plan.singles()
    with study.owned(plan.contents()):
        together, left_out = plan.of_methods(dict.fromkeys(plan.accuracies, 100.0))
        for method, why in left_out.items():
            study.console.print(f'[red]{method} is left out:[/red] {escape(why)}')
        failed = study.attempt(alone, others=together)
        study.raise_failed(_not_diverged(failed), len(alone))
        measured = _measured(alone, root)
        single_task = _means(measured, [*plan.metrics, *plan.accuracies], root)
        fixed = _fix(root, {name: single_task[name] for name in plan.accuracies})
        together, _ = plan.of_methods(fixed)
        failed = study.attempt(together, others=alone)
        measured |= _measured(together, root)
        rows = _rows(plan, single_task, measured, failed, left_out)
        content = dict(
            metrics={
                name: dict(single_task=single_task[name], lower_is_better=name in plan.lower)
                for name in plan.metrics
            },
            summary={row.name: row.summary() for row in rows},
            delta_m={row.name: {s: of[DELTA] for s, of in row.metrics.items()} for row in rows},
            problems={row.name: row.problems for row in rows if row.problems},
            left_out=left_out,
            runs={name: {s: _finite(of) for s, of in by.items()} for name, by in measured.items()},
            references=fixed or None,
            provenance=provenance(plan.cfg, plan.contents(), plan.seeds, ['torchjd']),
        )
        columns = [*plan.metrics, ACC, DELTA]
        headings = {name: f'{name} {"↓" if name in plan.lower else "↑"}' for name in columns}
        table = spread_table('method', rows, headings)
        _write(root, rows, content, table)
    table.show(study.console)
    path = root / FILE
    study.console.print(f'{SPREAD}\nComparison: {path}\nPicture: {root / PICTURE}', soft_wrap=True)
    study.raise_failed(_not_diverged(failed), len(together))
    return path


@dataclass
class MethodRow:
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
        lower: Collection[str],
    ) -> None:
        """Add the metrics of a seed with their sums, ``acc_mtl`` and ``delta_m``.

        Args:
            seed: The seed.
            metrics: All metrics of the training.
            single_task: What ``delta_m`` is relative to, by the metric's name.
            lower: Names of the metrics of which a lower value is better.
        """
        named = {name: metrics.get(name, math.nan) for name in single_task}
        if not all(map(math.isfinite, named.values())):
            self.problems[seed] = DIVERGED
            return
        sums = {
            ACC: acc_mtl(named, lower),
            DELTA: delta_m(named, single_task, lower),
            RAW: delta_raw(named, single_task, lower),
        }
        self.metrics[seed] = {**metrics, **sums}

    @property
    def number(self) -> int:
        """Number of the seeds that count."""
        return len(self.metrics)

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

    def values(self, column: str) -> list[float]:
        """The values of a metric, one a seed that has it."""
        return [metrics[column] for metrics in self.metrics.values() if column in metrics]

    def summary(self) -> dict[str, dict[str, float | None]]:
        """Mean and standard deviation (with n - 1) of each metric, None where there is none."""
        columns = dict.fromkeys(name for metrics in self.metrics.values() for name in metrics)
        found = {name: list(filter(math.isfinite, self.values(name))) for name in columns}
        return {
            name: dict(mean=mean(of), std=stdev(of) if len(of) > 1 else None)
            for name, of in found.items()
            if of
        }


def _not_diverged(failed: Mapping[Training, Failure]) -> dict[Training, Failure]:
    return {training: failure for training, failure in failed.items() if not failure.diverged}


def _measured(trainings: Sequence[Training], root: Path) -> dict[str, dict[int, dict[str, float]]]:
    """The tasks' metrics of trainings, by name and seed; without a result there are none.

    Their sums are left out: they are relative to the config's references.
    """
    found: dict[str, dict[int, dict[str, float]]] = {}
    for training in trainings:
        result = training.result(root) or {}
        metrics = {name: value for name, value in result.items() if '/' in name}
        found.setdefault(training.name, {})[training.seed] = metrics
    return found


def _means(
    alone: Mapping[str, Mapping[int, Mapping[str, float]]], names: Sequence[str], root: Path
) -> dict[str, float]:
    """Mean over the seeds of each metric of the single-task networks that did not diverge."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for name, values in found.items():
        task = name.partition('/')[0]
        for seed, metrics in alone[task].items():
            if metrics and name not in metrics:
                raise ValueError(
                    f"'{name}' is not measured in {task}, seed {seed}; its metrics are "
                    f'{sorted(metrics)}. Name another in val_cfg.references, by --metrics or by '
                    f'--accuracies'
                )
            values += [metrics[name]] if metrics else []
    means = {}
    for name, values in found.items():
        kept = [value for value in values if math.isfinite(value)]
        if not kept or mean(kept) == 0:
            raise ValueError(
                f"'{name}' of the single-task networks in '{root}' is {values or DIVERGED}, so no "
                f'method can be compared with it. Train longer or with a lower learning rate, in '
                f'another --out, or name another metric by --metrics'
            )
        means[name] = mean(kept)
    return means


def _fix(root: Path, measured: Mapping[str, float]) -> dict[str, float]:
    """The single-task values that methods are given: once fixed, they stay when seeds are added."""
    path = root / REFERENCES
    fixed = {**measured, **(json.loads(path.read_text()) if path.is_file() else {})}
    if fixed:
        write_json(path, fixed)
    return {name: fixed[name] for name in measured}


def _rows(
    plan: Plan,
    single_task: Mapping[str, float],
    measured: Mapping[str, Mapping[int, Mapping[str, float]]],
    failed: Mapping[Training, Failure],
    left_out: Mapping[str, str],
) -> list[MethodRow]:
    """A row of the single-task networks of all tasks together, and one a method."""
    reference = {name: single_task[name] for name in plan.metrics}
    rows = {name: MethodRow(name, plan.seeds) for name in (SINGLE, *plan.methods)}
    for seed in plan.seeds:
        alone = {k: v for task in plan.tasks for k, v in measured[task][seed].items()}
        rows[SINGLE].add(seed, alone, reference, plan.lower)
        for name in measured.keys() - plan.tasks:
            if measured[name][seed]:
                rows[name].add(seed, measured[name][seed], reference, plan.lower)
    for training, failure in failed.items():
        rows[training.name].problems[training.seed] = DIVERGED if failure.diverged else FAILED
    for name in left_out:
        rows[name].problems = dict.fromkeys(plan.seeds, LEFT_OUT)
    return list(rows.values())


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None] | None:
    """Metrics as JSON holds them: None for what is not finite, or not there."""
    return {name: of if math.isfinite(of) else None for name, of in metrics.items()} or None


def _write(
    root: Path, rows: Sequence[MethodRow], content: Mapping[str, Any], table: TextTable
) -> None:
    """Write numbers, picture and table."""
    write_json(root / FILE, content)
    notes = {row.name: row.state for row in rows if row.state}
    save_figure(draw_comparison({r.name: r.values(DELTA) for r in rows}, notes), root / PICTURE)
    reasons = [f'{name} is left out: {why}' for name, why in content['left_out'].items()]
    picture = f'![delta_m of the methods]({PICTURE})'
    text = '\n\n'.join([table.markdown(), SPREAD, *reasons, picture])
    (root / TABLE).write_text(text + '\n', encoding='utf-8')
