"""Compares methods by trainings over seeds: what tools/compare_methods.py and a notebook call.

May import all of mmgradsplit.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from mmengine.config import Config
from rich import box
from rich.console import Console
from rich.markup import escape

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.functional import by_task
from mmgradsplit.utils import write_json
from mmgradsplit.utils.tables import markdown, print_table
from mmgradsplit.visualization import draw_comparison, save_figure

from .comparison_plan import Plan, make_plan
from .comparison_table import DELTA, DIVERGED, Row, build_table, finite
from .measured import provenance
from .ownership import owned
from .trainings import Training, raise_failed, try_trainings

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
    gpus: Sequence[str] = (),
    processes: int | None = None,
    amp: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Path:
    """Compare multi-task optimisation methods on a config, joint or round-robin, over seeds.

    The single-task networks are trained first, then the network of all tasks by each method, with
    the config's own schedule. A training is validated once, at its end, or after every epoch where
    the method follows that. What was finished in an earlier call is not trained again, so a call
    may add methods or seeds.

    The folder holds the trainings in ``<task or method>/seed_<seed>``, and in the end
    ``comparison.json``, ``comparison.md`` and ``comparison.png``. A training that diverges, or
    fails, does not stop the others.

    Args:
        config: Config file of a multi-task network, or a config.
        out: Folder of the results.
        methods: Out of :func:`~mmgradsplit.apis.methods.known_methods`; by default, all in
            ``METHODS``.
        metrics: What ``delta_m`` and ``acc_mtl`` are made of, one or several a task, as
            ``task/metric``. By default, what ``val_cfg.references`` names (which also says where a
            lower value is better; the values are measured), else ``accuracies``.
        accuracies: The accuracy in percent of each task, for methods that follow it; the mean of
            the single-task networks is what AMTL's potentials are made of. By default, the first of
            each task in ``metrics`` of which a higher value is better.
        repeat: Number of seeds, from ``randomness.seed`` of the config on (0 if it has none).
        gpus: GPUs to spread the trainings over.
        processes: Trainings at once; by default, one a GPU.
        amp: Mixed precision, see :func:`~mmgradsplit.apis.preparation.use_mixed_precision`.
        cfg_options: Values for keys of the config.
        console: For progress and the table.

    Returns:
        The path of ``comparison.json``.

    Raises:
        ValueError: If the config is not one of several tasks, a method is unknown, a task has no
            metric, the folder is of another config, or a single-task value is zero.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed, after all others have been finished.
    """
    console = console or Console()
    if repeat < 1:
        raise ValueError(f'--repeat must be at least 1, got {repeat}')
    root = Path(out)
    cfg = prepare(config, root, cfg_options)
    plan = make_plan(cfg, methods, metrics, accuracies, repeat, amp)
    alone = plan.singles()
    how: dict[str, Any] = dict(gpus=gpus, processes=processes, console=console)
    with owned(root, plan.contents(), '--out'):
        together, left_out = plan.of_methods(dict.fromkeys(plan.accuracies, 100.0))
        for method, why in left_out.items():
            console.print(f'[red]{method} is left out:[/red] {escape(why)}')
        failed = try_trainings(alone, root, others=together, **how)
        raise_failed(_not_diverged(failed), len(alone), root)
        single_task = _means(alone, [*plan.metrics, *plan.accuracies], root)
        fixed = _fix(root, {name: single_task[name] for name in plan.accuracies})
        together, _ = plan.of_methods(fixed)
        failed = try_trainings(together, root, others=alone, **how)
        rows = _rows(plan, single_task, alone, together, failed, left_out, root)
        path = _write(plan, rows, single_task, fixed, alone, together, left_out, root)
    print_table(build_table(rows, plan.metrics, plan.lower), console)
    console.print(f'{SPREAD}\nComparison: {path}\nPicture: {root / PICTURE}', soft_wrap=True)
    raise_failed(_not_diverged(failed), len(together), root)
    return path


def _not_diverged(failed: Mapping[Training, str]) -> dict[Training, str]:
    return {t: text for t, text in failed.items() if not _diverged(text)}


def _diverged(text: str) -> bool:
    """Whether a training ended because its loss was not finite."""
    return FloatingPointError.__name__ in text


def _means(alone: Sequence[Training], names: Sequence[str], root: Path) -> dict[str, float]:
    """Mean over the seeds of each metric of the single-task networks that did not diverge."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for training in alone:
        result = training.result(root)
        if result is None:
            continue
        for name in by_task(names)[training.name]:
            if name not in result:
                raise ValueError(
                    f"'{name}' is not measured in {training.title}; its metrics are "
                    f'{sorted(result)}. Name another in val_cfg.references, by --metrics or by '
                    f'--accuracies'
                )
            found[name].append(result[name])
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
    alone: Sequence[Training],
    together: Sequence[Training],
    failed: Mapping[Training, str],
    left_out: Mapping[str, str],
    root: Path,
) -> list[Row]:
    """A row of the single-task networks of all tasks together, and one a method."""
    reference = {name: single_task[name] for name in plan.metrics}
    single = Row(SINGLE, plan.seeds)
    for seed in plan.seeds:
        metrics = dict.fromkeys(plan.metrics, math.nan)
        for training in alone:
            if training.seed == seed:
                metrics.update(_of_tasks(training.result(root)))
        single.add(seed, metrics, reference, plan.lower)
    rows = {name: Row(name, plan.seeds) for name in plan.methods}
    for name in left_out:
        rows[name].problems = dict.fromkeys(plan.seeds, LEFT_OUT)
    for training in together:
        row, result = rows[training.name], training.result(root)
        if result is not None:
            row.add(training.seed, _of_tasks(result), reference, plan.lower)
        else:
            text = failed[training]
            row.problems[training.seed] = DIVERGED if _diverged(text) else FAILED
    return [single, *rows.values()]


def _of_tasks(metrics: Mapping[str, float] | None) -> dict[str, float]:
    """Without the sums, which are relative to the config's references."""
    return {name: value for name, value in (metrics or {}).items() if '/' in name}


def _write(
    plan: Plan,
    rows: Sequence[Row],
    single_task: Mapping[str, float],
    fixed: Mapping[str, float],
    alone: Sequence[Training],
    together: Sequence[Training],
    left_out: Mapping[str, str],
    root: Path,
) -> Path:
    """Write numbers, table and picture."""
    runs: dict[str, dict[str, Any]] = {}
    for training in [*alone, *together]:
        metrics = finite(_of_tasks(training.result(root)))
        runs.setdefault(training.name, {})[str(training.seed)] = metrics or None
    content = dict(
        metrics={
            name: dict(single_task=single_task[name], lower_is_better=name in plan.lower)
            for name in plan.metrics
        },
        summary={row.name: row.summary() for row in rows},
        delta_m={
            row.name: {str(seed): of[DELTA] for seed, of in row.metrics.items()} for row in rows
        },
        problems={
            row.name: {str(seed): of for seed, of in row.problems.items()}
            for row in rows
            if row.problems
        },
        left_out=dict(left_out),
        runs=runs,
        references=dict(fixed) or None,
        provenance=provenance(plan.cfg, plan.contents(), plan.seeds, ['torchjd']),
    )
    path = root / FILE
    write_json(path, content)
    notes = {row.name: row.state for row in rows if row.state}
    save_figure(draw_comparison({r.name: r.values(DELTA) for r in rows}, notes), root / PICTURE)
    table = markdown(build_table(rows, plan.metrics, plan.lower, box.MARKDOWN))
    reasons = [f'{name} is left out: {why}' for name, why in left_out.items()]
    text = '\n\n'.join([table, SPREAD, *reasons, f'![delta_m of the methods]({PICTURE})'])
    (root / TABLE).write_text(text + '\n', encoding='utf-8')
    return path
