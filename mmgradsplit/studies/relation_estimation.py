"""Measures the relations between tasks: what tools/estimate_relations.py and a notebook call."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from mmgradsplit.apis.methods import use_method, wrapper_class
from mmgradsplit.apis.tasks import select_tasks
from mmgradsplit.functional import (
    THRESHOLD,
    by_name,
    by_task,
    relation_mask,
    relative_change,
    summarize_changes,
)
from mmgradsplit.optim import GradSplitOptimWrapper
from mmgradsplit.utils import write_json
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import draw_relations, save_figure

from .measured import checked_lower, metric_by_task, provenance, references_of, several_tasks
from .study import Study, config_content
from .trainings import Training

FILE = 'relations.json'
PICTURE = 'relations.png'
# What a GradSplitOptimWrapper adds to the multi-head baseline beside the mask.
BESIDE_THE_MASK = ('drop_grad', 'aggregator', 'weighting')


def estimate_relations(
    config: str | Path | Config,
    out: str | Path | None = None,
    *,
    repeat: int = 1,
    metrics: Sequence[str] | None = None,
    threshold: float | None = None,
    **options: Any,
) -> Path:
    """Measure ``A[t' -> t]`` for all pairs of tasks of a multi-task config (GradSplit, 3.1).

    T single-task and T(T-1)/2 two-task networks are trained, as multi-head baselines and with the
    config's own schedule. The folder holds in the end ``relations.json``, which
    ``optim_wrapper.relations`` reads, and ``relations.png``.

    Args:
        config: Config file of a multi-task network, or a config.
        out: Folder of the results. By default ``work_dirs/<name of the config file>_relations``.
        repeat: Number of seeds, from ``randomness.seed`` of the config on (0 if it has none).
        metrics: The accuracy of each task, as ``task/metric``. By default, what
            ``val_cfg.references`` names, the first of each task.
        threshold: Of the relation mask; by default, the config's, else
            :data:`~mmgradsplit.functional.THRESHOLD`.
        **options: ``gpus``, ``processes``, ``amp``, ``cfg_options`` and ``console``, see
            :class:`~mmgradsplit.studies.study.Study`.

    Returns:
        The path of ``relations.json``.

    Raises:
        ValueError: If the config is not one of several tasks, a task has no metric, the folder is
            of another config, or an accuracy is zero or not finite.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed; what was finished stays.
    """
    if out is None:
        if isinstance(config, Config):
            raise ValueError('out: a config without a file needs a folder for the results')
        out = Path('work_dirs', f'{Path(config).stem}_relations')
    study = Study(out, repeat, **options)
    cfg = study.prepare(config)
    tasks = several_tasks(cfg, 'relations are between tasks')
    first = [names[0] for names in by_task(references_of(cfg)).values()]
    where = 'in val_cfg.references or by --metrics'
    main = metric_by_task(first if metrics is None else metrics, tasks, where)
    lower = checked_lower(cfg, main.values(), '--metrics')
    if threshold is None:
        threshold = float(cfg.optim_wrapper.get('threshold', THRESHOLD))
    use_multi_head(cfg)
    study.set_precision(cfg)

    content, seeds, root = config_content(cfg), study.seeds(cfg), study.root
    with study.owned({'+'.join(tasks): content}):
        results = study.run(plan_trainings(cfg, tasks, seeds))
        accuracies = {
            (t.name, t.seed): {
                main[task]: _accuracy(t, r, main[task], root) for task in t.cfg.tasks
            }
            for t, r in results.items()
        }
        changes = _changes(accuracies, tasks, seeds, main, lower, root)
        mean, spread, settled = summarize_changes(changes, threshold)
        mask = relation_mask(mean, threshold)
        unsettled = ~settled if repeat > 1 else None
        found = dict(
            relations=by_name(mean, tasks),
            spread=None if unsettled is None else by_name(spread, tasks),
            unsettled=None if unsettled is None else _names(unsettled, tasks),
            threshold=threshold,
            negative=_names(~mask.T, tasks),
            accuracies={f'{name}, seed {seed}': of for (name, seed), of in accuracies.items()},
            provenance=provenance(cfg, content, seeds),
        )
        write_json(root / FILE, found)
        save_figure(draw_relations(mask, tasks, mean, threshold, unsettled), root / PICTURE)
    study.console.print(
        relation_table(mean, mask, tasks, threshold, spread, unsettled).for_terminal()
    )
    places = f'Relations: {root / FILE}\nHeat map: {root / PICTURE}'
    study.console.print(places, soft_wrap=True, markup=False)
    return root / FILE


def use_multi_head(cfg: Config) -> None:
    """Let a config train the multi-head baseline: every filter by every task, nothing else.

    GradSplit's optimizers, its update and the modules that it splits stay; everything else becomes
    the method ``uniform``.

    Args:
        cfg: The config; it changes.
    """
    wrapper = cfg.optim_wrapper
    kind = wrapper_class(wrapper)
    if isinstance(kind, type) and issubclass(kind, GradSplitOptimWrapper):
        wrapper['relations'] = 'all'
        for key in BESIDE_THE_MASK:
            wrapper.pop(key, None)
        cfg.train_cfg.pop('allocator', None)
    else:
        use_method(cfg, 'uniform')


def plan_trainings(cfg: Config, tasks: Sequence[str], seeds: Sequence[int]) -> list[Training]:
    """The single-task and two-task trainings that the relations need.

    Args:
        cfg: Prepared config of all tasks.
        tasks: The tasks, T of them.
        seeds: The seeds, R of them.

    Returns:
        ``R * (T + T(T-1)/2)`` trainings, seed after seed.
    """
    configs = {}
    for combination in [*((task,) for task in tasks), *itertools.combinations(tasks, 2)]:
        own = configs['+'.join(combination)] = Config(cfg.to_dict(), filename=cfg.filename)
        select_tasks(own, combination)
    return [Training(name, seed, own) for seed in seeds for name, own in configs.items()]


def relation_table(
    changes: NDArray[np.float64],
    mask: NDArray[np.bool_],
    tasks: Sequence[str],
    threshold: float,
    spread: NDArray[np.float64],
    unsettled: NDArray[np.bool_] | None = None,
) -> TextTable:
    """Relations as a table, laid out as Table A-1: trained with (row), performance on (column).

    Args:
        changes: shape [T x T]; row t', column t is ``A[t' -> t]``.
        mask: shape [T x T], ``m[t, t']``.
        tasks: Names of the tasks.
        threshold: The threshold of the mask.
        spread: shape [T x T], standard deviation of the changes; NaN where it is not known.
        unsettled: shape [T x T], where the spread does not settle the side of the threshold.
    """
    rows = []
    for row, source in enumerate(tasks):
        cells = []
        for column in range(len(tasks)):
            text = f'{100 * changes[row, column]:+.2f}%'
            if np.isfinite(spread[row, column]):
                text += f' ± {100 * spread[row, column]:.2f}'
            text += '' if mask[column, row] else ' ↓'
            if unsettled is not None and unsettled[row, column]:
                text += ' ?'
            cells.append('—' if row == column else text)
        rows.append([source, *cells])
    doubtful = unsettled is not None and unsettled.any()
    return TextTable(
        ['trained with', *(f'on {task}' for task in tasks)],
        rows,
        words=['trained with'],
        title=f'Relative change, ↓ negative at the threshold {threshold:g}',
        note='?: the spread over the seeds does not settle the side of the threshold'
        if doubtful
        else '',
    )


def _names(wanted: NDArray[np.bool_], tasks: Sequence[str]) -> list[str]:
    """The relations at which a matrix of shape [T x T] is true."""
    return [name for name, of in by_name(wanted, tasks).items() if of]


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
    lower: Collection[str],
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
