"""Finished runs side by side: what tools/analysis_tools/report.py and a notebook call."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from mmengine.utils import import_modules_from_strings
from rich.console import Console
from rich.markup import escape

from mmgradsplit.analysis.complexity import measure_complexity
from mmgradsplit.registry import REPORT_COLUMNS
from mmgradsplit.utils.mmengine_private import networks_alone
from mmgradsplit.visualization import Plot, draw_curves, save_figure

from .measured import lower_is_better
from .report_runs import FACTORS, Run, find_runs, printable, read_run, task_of
from .report_table import RunRow, build_table, group, sum_up, write_csv
from .rows import DELTA, FINISHED

PARAMETERS, FLOPS = '#Param (M)', '#FLOPs (G)'
SPREAD = 'Where there are several seeds: mean ± standard deviation (n − 1).'


def report(
    work_dirs: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    references: Sequence[str | Path] = (),
    console: Console | None = None,
) -> list[RunRow]:
    """Show finished runs as one table, and their curves.

    Runs whose configs differ in the seed alone are one row. A folder that cannot be read is named
    and left out; a run that did not finish, or diverged, is marked.

    Args:
        work_dirs: Work dirs of runs, or folders of work dirs (``NAME/seed_0``, ...).
        out: Folder for ``report.md``, ``report.csv`` (every metric) and ``curves.png``.
        references: What ``delta_m`` is relative to, and the metrics of ``acc_mtl``, instead of each
            config's own references: work dirs of single-task runs (the mean over their seeds), or
            ``'task/metric=value'``.
        console: For the table.

    Returns:
        The rows of the table.

    Raises:
        FileNotFoundError: If none of the folders is of a run.
        ValueError: If a reference is neither a single-task run nor a number.
    """
    console = console or Console()
    runs, problems = _read(work_dirs)
    if not runs:
        raise FileNotFoundError('no run to report on: ' + '; '.join(problems))
    relative_to, lower = _references(references)
    lower = lower.union(*(lower_is_better(run.cfg, relative_to) for run in runs))
    if relative_to:
        for run in runs:
            try:
                sum_up(run, relative_to, lower)
            except (ArithmeticError, ValueError) as error:
                problems.append(f"No delta_m of '{run.folder}': {error}")
    rows = group(runs)
    with console.status('Counting parameters and multiply-accumulates ...'):
        problems += [problem for row in rows for problem in _set_extra(row)]
    notes = [SPREAD] if any(len(row.runs) > 1 for row in rows) else []
    notes += _about_delta_m(runs, relative_to, lower)
    notes += map(printable, problems)
    table = build_table(rows)
    table.show(console)
    for note in notes:
        console.print(escape(note), soft_wrap=True)
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(rows, folder / 'report.csv')
        try:
            save_figure(draw_curves(_plots(rows)), folder / 'curves.png')
            picture = '![losses, metrics and weights](curves.png)'
        except Exception as error:  # whatever matplotlib makes of the values
            picture = f'No curves: {printable(str(error))}.'
            console.print(escape(picture), soft_wrap=True)
        text = '\n\n'.join([table.markdown(), *notes, picture])
        (folder / 'report.md').write_text(text + '\n', encoding='utf-8')
        written = f'Written: report.md, report.csv and curves.png in {printable(out)}'
        console.print(escape(written), soft_wrap=True)
    return rows


def _read(work_dirs: Sequence[str | Path]) -> tuple[list[Run], list[str]]:
    """Read all runs; return also what is wrong with those that cannot be read."""
    folders, runs, problems = [], [], []
    for work_dir in work_dirs:
        try:
            folders += find_runs(work_dir)
        except OSError as error:
            problems.append(f'Left out: {error}')
    for folder in dict.fromkeys(folders):
        try:
            runs.append(read_run(folder))
        except ValueError as error:
            problems.append(f'Left out: {error}')
    return runs, problems


@REPORT_COLUMNS.register_module()
def complexity(row: RunRow) -> dict[str, list[float]]:
    """``#Param (M)`` and ``#FLOPs (G)`` of the network that the runs of a row have trained."""
    with warnings.catch_warnings(), networks_alone():
        warnings.simplefilter('ignore')  # the toolboxes', of their own defaults
        cost = measure_complexity(row.runs[0].cfg)
    return {PARAMETERS: [cost.parameters[''] / 1e6], FLOPS: [cost.macs[''] / 1e9]}


def _set_extra(row: RunRow) -> list[str]:
    """Set the registered columns of a row; return what is in the way."""
    problems = []
    try:
        import_modules_from_strings(**row.runs[0].cfg.get('custom_imports', dict(imports=[])))
    except Exception as error:  # whatever a module does, or the config holds
        problems.append(f"custom_imports of '{row.name}': {error}")
    for name, column in REPORT_COLUMNS.module_dict.items():
        try:
            row.extra.update(column(row))
        except Exception as error:  # whatever building a model of any toolbox leads to
            problems.append(f"No {name} of '{row.name}': {error!r}")
    return problems


def _references(given: Sequence[str | Path]) -> tuple[dict[str, float], set[str]]:
    """The single-task value of each metric that is named, or measured by a run.

    Returns also of which metrics a lower value is better, as far as the runs' configs say it.
    """
    values: dict[str, list[float]] = {}
    lower: set[str] = set()
    for item in given:
        name, equals, number = str(item).rpartition('=')
        if equals and not Path(item).exists():
            try:
                values.setdefault(name, []).append(float(number))
            except ValueError:
                raise ValueError(f"--references: '{item}' is not task/metric=number") from None
            continue
        for run in map(read_run, find_runs(item)):
            if run.state != FINISHED or len(set(map(task_of, run.main_metrics))) != 1:
                state = run.state if run.state != FINISHED else f'of the tasks {run.main_metrics}'
                raise ValueError(
                    f"--references: '{run.folder}' is {state}, not a finished single-task run; "
                    'name one, or a value as task/metric=number'
                )
            lower |= lower_is_better(run.cfg)
            for name in run.main_metrics:
                values.setdefault(name, []).append(run.metrics[name])
    return {name: mean(numbers) for name, numbers in values.items()}, lower


def _about_delta_m(
    runs: Sequence[Run], relative_to: dict[str, float], lower: set[str]
) -> list[str]:
    if not any(DELTA in run.metrics for run in runs):
        return []
    if relative_to:
        texts = [
            f'{name} {value:.2f}{" (lower is better)" if name in lower else ""}'
            for name, value in relative_to.items()
        ]
        return [f'delta_m is relative to {", ".join(texts)}.']
    seen: dict[str, set[float]] = {}
    for run in runs:
        for name, entry in run.references.items():
            seen.setdefault(name, set()).add(entry['value'])
    unlike = [name for name, values in seen.items() if len(values) > 1]
    if not unlike:
        return ["delta_m is relative to the references of the runs' configs."]
    return [
        f'delta_m cannot be compared between rows: the configs have different references for '
        f'{", ".join(unlike)}; give the same ones to all with --references.'
    ]


def _plots(rows: Sequence[RunRow]) -> list[list[Plot]]:
    """Losses, main metrics and, where there are any, weights, over the iterations, in blocks."""
    runs = [run for row in rows for run in row.runs]
    losses = dict.fromkeys(name for run in runs for name in run.losses)
    metrics = dict.fromkeys(name for run in runs for name in run.main_metrics)
    weights = dict.fromkeys(name for run in runs for name in run.weights)

    def lines(kind: str, name: str) -> dict[str, list[dict[int, float]]]:
        return {
            row.name: [getattr(run, kind)[name] for run in row.runs if name in getattr(run, kind)]
            for row in rows
        }

    return [
        [Plot(name, lines('losses', name), log=True) for name in losses],
        [Plot(name, lines('history', name)) for name in metrics],
        *(
            [Plot(name, lines('weights', name)) for name in weights if name.startswith(f'{of}/')]
            for of in FACTORS
        ),
    ]
