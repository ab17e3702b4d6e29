"""Measures the relations between tasks: what tools/estimate_relations.py and a notebook call.

May import all of mmgradsplit.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mmgradsplit.apis.preparation import prepare, use_mixed_precision
from mmgradsplit.apis.tasks import select_tasks
from mmgradsplit.functional import (
    by_name,
    by_task,
    relation_mask,
    relative_change,
    summarize_changes,
)
from mmgradsplit.utils import write_json
from mmgradsplit.visualization import draw_relations, save_figure

from .measured import metric_by_task, provenance, references_of
from .ownership import config_content, owned
from .trainings import Training, run_trainings

FILE = 'relations.json'
PICTURE = 'relations.png'


def estimate_relations(
    config: str | Path | Config,
    out: str | Path | None = None,
    *,
    repeat: int = 1,
    metrics: Sequence[str] | None = None,
    threshold: float | None = None,
    gpus: Sequence[str] = (),
    processes: int | None = None,
    amp: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Path:
    """Measure ``A[t' -> t]`` for all pairs of tasks of a multi-task config (GradSplit, 3.1).

    T single-task and T(T-1)/2 two-task networks are trained, as multi-head baselines and with the
    config's own schedule. Each is validated once, after its last epoch. What was finished in an
    earlier call is not trained again. The folder holds in the end ``relations.json``, which
    ``optim_wrapper.relations`` reads, and ``relations.png``.

    Args:
        config: Config file of a multi-task network, or a config.
        out: Folder of the results. By default ``work_dirs/<name of the config file>_relations``.
        repeat: Number of seeds, from ``randomness.seed`` of the config on (0 if it has none).
        metrics: The accuracy of each task, as ``task/metric``. By default, what
            ``val_cfg.references`` names, the first of each task.
        threshold: Of the relation mask; by default, the config's.
        gpus: GPUs to spread the trainings over.
        processes: Trainings at once; by default, one a GPU.
        amp: Mixed precision, see :func:`~mmgradsplit.apis.preparation.use_mixed_precision`.
        cfg_options: Values for keys of the config.
        console: For progress and the table.

    Returns:
        The path of ``relations.json``.

    Raises:
        ValueError: If the config is not one of several tasks, a task has no metric, the folder is
            of another config, or an accuracy is zero or not finite.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed; what was finished stays.
    """
    console = console or Console()
    if out is None:
        if isinstance(config, Config):
            raise ValueError('out: a config without a file needs a folder for the results')
        out = Path('work_dirs', f'{Path(config).stem}_relations')
    if repeat < 1:
        raise ValueError(f'--repeat must be at least 1, got {repeat}')
    root = Path(out)
    cfg = prepare(config, root, cfg_options)
    tasks = list(cfg.get('model', {}).get('tasks', {}))
    if len(tasks) < 2:
        raise ValueError(
            f'relations are between tasks: model.tasks must have at least two, got {tasks}'
        )
    references, lower = references_of(cfg)
    first = [names[0] for names in by_task(references).values()]
    where = 'in val_cfg.references or by --metrics'
    main = metric_by_task(first if metrics is None else metrics, tasks, where)
    wrapper = cfg.get('optim_wrapper', {})
    if threshold is None:
        threshold = float(wrapper.get('threshold', -0.01))
    if 'relations' in wrapper:
        wrapper['relations'] = 'all'  # these networks are multi-head baselines
    if amp:
        use_mixed_precision(cfg)

    content = config_content(cfg)
    trainings = plan_trainings(cfg, tasks, repeat)
    with owned(root, {'+'.join(tasks): content}, '--out'):
        results = run_trainings(trainings, root, gpus, processes, console)
        accuracies = {
            (t.name, t.seed): {
                main[task]: _accuracy(t, r, main[task], root) for task in t.cfg.tasks
            }
            for t, r in results.items()
        }
        seeds = sorted({t.seed for t in trainings})
        changes = _changes(accuracies, tasks, seeds, main, lower, root)
        mean, spread, settled = summarize_changes(changes, threshold)
        mask = relation_mask(mean, threshold)
        path = root / FILE
        write_json(
            path,
            dict(
                relations=by_name(mean, tasks),
                spread=by_name(spread, tasks) if repeat > 1 else None,
                unsettled=[name for name, ok in by_name(settled, tasks).items() if not ok]
                if repeat > 1
                else None,
                threshold=threshold,
                negative=[name for name, kept in by_name(mask.T, tasks).items() if not kept],
                accuracies={
                    f'{name}, seed {seed}': values for (name, seed), values in accuracies.items()
                },
                provenance=provenance(cfg, content, seeds),
            ),
        )
        unsettled = ~settled if repeat > 1 else None
        save_figure(draw_relations(mask, tasks, mean, threshold, unsettled), root / PICTURE)
    console.print(relation_table(mean, mask, tasks, threshold, spread, unsettled))
    console.print(f'Relations: {path}\nHeat map: {root / PICTURE}')
    return path


def plan_trainings(cfg: Config, tasks: Sequence[str], repeat: int) -> list[Training]:
    """The single-task and two-task trainings that the relations need.

    Args:
        cfg: Prepared config of all tasks.
        tasks: The tasks, T of them.
        repeat: Number of seeds.

    Returns:
        ``repeat * (T + T(T-1)/2)`` trainings, seed after seed.
    """
    first = config_content(cfg)['seed']
    combinations = [*((task,) for task in tasks), *itertools.combinations(tasks, 2)]
    trainings = []
    for seed in range(first, first + repeat):
        for combination in combinations:
            own = Config(cfg.to_dict(), filename=cfg.filename)
            select_tasks(own, combination)
            trainings.append(Training('+'.join(combination), seed, own))
    return trainings


def relation_table(
    changes: NDArray[np.float64],
    mask: NDArray[np.bool_],
    tasks: Sequence[str],
    threshold: float,
    spread: NDArray[np.float64] | None = None,
    unsettled: NDArray[np.bool_] | None = None,
) -> Table:
    """Relations as a table, laid out as Table A-1: trained with (row), performance on (column).

    Args:
        changes: shape [T x T]; row t', column t is ``A[t' -> t]``.
        mask: shape [T x T], ``m[t, t']``.
        tasks: Names of the tasks.
        threshold: The threshold of the mask.
        spread: shape [T x T], standard deviation of the changes; NaN where it is not known.
        unsettled: shape [T x T], where the spread does not settle the side of the threshold.
    """
    table = Table(title=f'Relative change, ↓ negative at the threshold {threshold:g}')
    table.add_column('trained with')
    for task in tasks:
        table.add_column(f'on {task}', justify='right')
    for row, source in enumerate(tasks):
        cells = []
        for column in range(len(tasks)):
            if row == column:
                cells.append('—')
                continue
            text = f'{100 * changes[row, column]:+.2f}%'
            if spread is not None and np.isfinite(spread[row, column]):
                text += f' ± {100 * spread[row, column]:.2f}'
            text += '' if mask[column, row] else ' ↓'
            if unsettled is not None and unsettled[row, column]:
                text += ' ?'
            cells.append(text)
        table.add_row(source, *cells)
    if unsettled is not None and unsettled.any():
        table.caption = '?: the spread over the seeds does not settle the side of the threshold'
    return table


def _accuracy(training: Training, result: Mapping[str, float], metric: str, root: Path) -> float:
    if metric not in result:
        raise ValueError(
            f"'{metric}' is not measured in {training.title}; its metrics are {sorted(result)}. "
            f'Name another in val_cfg.references or by --metrics'
        )
    if not np.isfinite(result[metric]):
        raise ValueError(
            f'{training.title} diverged: its {metric} is {result[metric]}. Remove '
            f"'{training.folder(root)}' to train it again, with a lower learning rate in another "
            f'--out if it stays so; the other trainings are kept'
        )
    return result[metric]


def _changes(
    accuracies: Mapping[tuple[str, int], Mapping[str, float]],
    tasks: Sequence[str],
    seeds: Sequence[int],
    main: Mapping[str, str],
    lower: set[str],
    root: Path,
) -> NDArray[np.float64]:
    """``A[t' -> t]`` of each seed, shape [R x T x T], zero on the diagonal."""
    changes = np.zeros((len(seeds), len(tasks), len(tasks)))
    for r, seed in enumerate(seeds):
        for (i, one), (j, other) in itertools.combinations(enumerate(tasks), 2):
            pair = accuracies[f'{one}+{other}', seed]
            for source, target, task in ((i, j, other), (j, i, one)):
                metric = main[task]
                try:
                    changes[r, source, target] = relative_change(
                        pair[metric], accuracies[task, seed][metric], metric in lower
                    )
                except ValueError as error:
                    raise ValueError(
                        f"{metric} of '{root}', {one}+{other} and {task}, seed {seed}: {error}. "
                        f'Train longer, or name another metric by --metrics'
                    ) from error
    return changes
