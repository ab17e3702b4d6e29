"""Trains several configs over several seeds: what tools/train_seeds.py and a notebook call."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmgradsplit.apis.preparation import run_name
from mmgradsplit.utils.tables import TextTable, mean_and_spread

from .study import Study, config_content
from .trainings import Training


def train_seeds(
    configs: Sequence[str | Path], out: str | Path, *, repeat: int = 3, **options: Any
) -> dict[str, list[dict[str, float]]]:
    """Train each config with several seeds; each training is validated once, at its end.

    The runs are in ``<out>/<name>/seed_<seed>``, where the name is that of the config file, with
    ``_<method>`` where the config says one.

    Args:
        configs: Config files, with different names.
        out: Folder of the results.
        repeat: Number of seeds, from ``randomness.seed`` of each config on (0 if it has none).
        **options: ``gpus``, ``processes``, ``amp``, ``cfg_options`` and ``console``, see
            :class:`~mmgradsplit.studies.study.Study`.

    Returns:
        The metrics of each seed, by the config's name.

    Raises:
        ValueError: If two configs have the same name, or the folder is of other configs.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed, after the table of the others.
    """
    study = Study(out, repeat, **options)
    every = [study.prepare(config) for config in configs]
    names = [run_name(cfg) for cfg in every]
    if len(set(names)) < len(names):
        raise ValueError(
            f'the configs, and the method that one says, name the folders of their runs, so they '
            f'must differ: {names}'
        )
    prepared = dict(zip(names, every, strict=True))
    for cfg in prepared.values():
        study.set_precision(cfg)
    trainings = [
        Training(name, seed, cfg) for name, cfg in prepared.items() for seed in study.seeds(cfg)
    ]
    with study.owned({name: config_content(cfg) for name, cfg in prepared.items()}):
        failed = study.attempt(trainings)
        finished = [training for training in trainings if training not in failed]
        results = {training: training.result(study.root) or {} for training in finished}
    metrics = {name: [results[t] for t in finished if t.name == name] for name in names}
    seeds_table(metrics).show(study.console)
    study.raise_failed(failed, len(trainings))
    return metrics


def seeds_table(metrics: Mapping[str, Sequence[Mapping[str, float]]]) -> TextTable:
    """Mean and standard deviation (with n - 1) of every metric over the seeds, a row each.

    Args:
        metrics: The metrics of each seed, by name of the run.
    """
    rows = []
    for metric in dict.fromkeys(key for runs in metrics.values() for run in runs for key in run):
        label = metric
        for name, runs in metrics.items():
            values = [run[metric] for run in runs if metric in run]
            if values:
                rows.append([label, name, mean_and_spread(values, 3), str(len(values))])
                label = ''
    return TextTable(
        ['metric', 'run', 'mean ± std', 'seeds'],
        rows,
        words=('metric', 'run'),
        title='Mean ± standard deviation over the seeds',
    )
