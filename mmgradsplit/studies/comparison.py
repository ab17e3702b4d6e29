"""Compares methods by trainings over seeds: what tools/compare_methods.py and a notebook call."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import mean
from typing import Any

from mmengine.config import Config
from rich.markup import escape

from mmgradsplit.utils import write_json
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import draw_comparison, save_figure

from .comparison_choice import LAST, Choice, of_task
from .comparison_plan import Plan, make_plan
from .comparison_row import DIVERGED, MethodRow
from .measured import provenance
from .rows import ACC, DELTA, spread_table
from .study import Study
from .trainings import Failure, Training

FILE, TABLE, PICTURE = 'comparison.json', 'comparison.md', 'comparison.png'
# Of the single-task networks, as the methods were given them.
REFERENCES = 'references.json'
SINGLE = 'single-task'
FAILED, LEFT_OUT = 'failed', 'left out'
SPREAD = 'Mean ± standard deviation (n − 1) over the seeds; delta_m in percent.'


def compare_methods(
    config: str | Path | Config,
    out: str | Path,
    *,
    methods: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    accuracies: Sequence[str] | None = None,
    repeat: int = 3,
    select: str = LAST,
    lrs: Sequence[float] | None = None,
    trim: int = 0,
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
        select: ``'last'``: the metrics at the end of a training; ``'best'``: those of the epoch
            with the best ``acc_mtl``, with a validation after every epoch.
        lrs: Learning rates to train each network with; the one with the best mean ``acc_mtl``
            counts, of a method as of a single task. By default, the config's own.
        trim: How many of the best and of the worst seeds, by ``acc_mtl``, are left out of the
            means; with 1 and ten seeds, those of AMTL's supplement, A.2.
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
    choice = Choice(select, tuple(lrs or ()), trim)
    plan = make_plan(study, study.prepare(config), methods, metrics, accuracies, choice)
    root, alone = study.root, plan.singles()
    with study.owned(plan.contents()):
        together, left_out = plan.of_methods(dict.fromkeys(plan.accuracies, 100.0))
        for method, why in left_out.items():
            study.console.print(f'[red]{escape(method)} is left out:[/red] {escape(why)}')
        failed = study.attempt(alone, others=together)
        study.raise_failed(_not_diverged(failed), len(alone))
        measured = _measured(alone, failed, root)
        chosen = {
            task: choice.best(task, measured, of_task(task, plan.metrics), plan.lower)
            for task in plan.tasks
        }
        single_task = _means(plan, {task: measured[of] for task, of in chosen.items()}, root)
        fixed = _fix(root, {name: single_task[name] for name in plan.accuracies})
        together, _ = plan.of_methods(fixed)
        failed = study.attempt(together, others=alone)
        measured |= _measured(together, failed, root)
        for name in (name for name in plan.methods if name not in left_out):
            chosen[name] = choice.best(name, measured, plan.metrics, plan.lower)
        counted = {name: measured[of] for name, of in chosen.items()}
        rates = {name: choice.variants(name)[of] for name, of in chosen.items()}
        rows = _rows(plan, single_task, counted, _of_chosen(failed, chosen), left_out)
        _find_alike(rows, [each for each in together if each not in failed], chosen, root)
        said = [
            SPREAD,
            *choice.sentences(
                {name: rates[name] for name in (*plan.tasks, *plan.methods) if name in rates}
            ),
        ]
        content = dict(
            metrics={
                name: dict(single_task=single_task[name], lower_is_better=name in plan.lower)
                for name in plan.metrics
            },
            summary={row.name: row.summary() for row in rows},
            delta_m={row.name: {s: of[DELTA] for s, of in row.metrics.items()} for row in rows},
            problems={row.name: row.problems for row in rows if row.problems},
            same_weights={row.name: row.alike for row in rows if row.alike},
            left_out=left_out,
            runs={name: {s: _finite(of) for s, of in by.items()} for name, by in measured.items()},
            references=fixed or None,
            choice=dict(select=select, lrs=list(choice.lrs), trim=trim, chosen=rates),
            provenance=provenance(plan.cfg, plan.contents(), plan.seeds, ['torchjd']),
        )
        columns = [*plan.metrics, ACC, DELTA]
        headings = {name: f'{name} {"↓" if name in plan.lower else "↑"}' for name in columns}
        table = spread_table('method', rows, headings)
        _write(root, rows, content, table, said)
    table.show(study.console)
    path = root / FILE
    text = '\n'.join([*said, f'Comparison: {path}', f'Picture: {root / PICTURE}'])
    study.console.print(text, soft_wrap=True, markup=False)
    study.raise_failed(_not_diverged(failed), len(together))
    return path


def _not_diverged(failed: Mapping[Training, Failure]) -> dict[Training, Failure]:
    return {training: failure for training, failure in failed.items() if not failure.diverged}


def _find_alike(
    rows: Sequence[MethodRow],
    trainings: Sequence[Training],
    chosen: Mapping[str, str],
    root: Path,
) -> None:
    """Note which methods end in weights that are equal bit for bit: they trained alike."""
    by_name = {row.name: row for row in rows}
    names = {of: name for name, of in chosen.items()}
    groups: dict[tuple[int, str], list[str]] = {}
    for training in trainings:
        weights = training.weights(root)
        if weights is not None and training.name in names:
            groups.setdefault((training.seed, weights), []).append(names[training.name])
    for (seed, _), alike in groups.items():
        for one, other in permutations(alike, 2):
            by_name[one].alike.setdefault(other, []).append(seed)


def _of_chosen(
    failed: Mapping[Training, Failure], chosen: Mapping[str, str]
) -> dict[tuple[str, int], Failure]:
    """The failures of the trainings that count, by network and seed."""
    names = {of: name for name, of in chosen.items()}
    return {(names[t.name], t.seed): of for t, of in failed.items() if t.name in names}


def _measured(
    trainings: Sequence[Training], failed: Collection[Training], root: Path
) -> dict[str, dict[int, dict[str, float]]]:
    """The tasks' metrics of trainings, by name and seed; without a result there are none.

    Their sums are left out: they are relative to the config's references.
    """
    found: dict[str, dict[int, dict[str, float]]] = {}
    for training in trainings:
        result = {} if training in failed else training.result(root) or {}
        metrics = {name: value for name, value in result.items() if '/' in name}
        found.setdefault(training.name, {})[training.seed] = metrics
    return found


def _means(
    plan: Plan, alone: Mapping[str, Mapping[int, Mapping[str, float]]], root: Path
) -> dict[str, float]:
    """Mean over the seeds of each metric of the single-task networks that did not diverge."""
    found: dict[str, list[float]] = {name: [] for name in (*plan.metrics, *plan.accuracies)}
    for name, values in found.items():
        task = name.partition('/')[0]
        own = of_task(task, plan.metrics)
        scored = {s: {n: of.get(n, math.nan) for n in own} for s, of in alone[task].items()}
        for seed in plan.choice.kept(scored, plan.lower):
            metrics = alone[task][seed]
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
    failed: Mapping[tuple[str, int], Failure],
    left_out: Mapping[str, str],
) -> list[MethodRow]:
    """A row of the single-task networks of all tasks together, and one a method."""
    reference = {name: single_task[name] for name in plan.metrics}
    names = (SINGLE, *plan.methods)
    rows = {name: MethodRow(name, plan.seeds, choice=plan.choice) for name in names}
    for seed in plan.seeds:
        alone = {k: v for task in plan.tasks for k, v in measured[task][seed].items()}
        rows[SINGLE].add(seed, alone, reference, plan.lower)
        for name in measured.keys() - plan.tasks:
            if measured[name][seed]:
                rows[name].add(seed, measured[name][seed], reference, plan.lower)
    for (name, seed), failure in failed.items():
        rows[name].problems[seed] = DIVERGED if failure.diverged else FAILED
    for name in left_out:
        rows[name].problems = dict.fromkeys(plan.seeds, LEFT_OUT)
    return list(rows.values())


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None] | None:
    """Metrics as JSON holds them: None for what is not finite, or not there."""
    return {name: of if math.isfinite(of) else None for name, of in metrics.items()} or None


def _write(
    root: Path,
    rows: Sequence[MethodRow],
    content: Mapping[str, Any],
    table: TextTable,
    said: Sequence[str],
) -> None:
    """Write numbers, picture and table."""
    write_json(root / FILE, content)
    notes = {row.name: row.state for row in rows if row.state}
    save_figure(draw_comparison({r.name: r.values(DELTA) for r in rows}, notes), root / PICTURE)
    reasons = [f'{name} is left out: {why}' for name, why in content['left_out'].items()]
    picture = f'![delta_m of the methods]({PICTURE})'
    text = '\n\n'.join([table.markdown(), *said, *reasons, picture])
    (root / TABLE).write_text(text + '\n', encoding='utf-8')
