"""Trains several configs over several seeds: what tools/train_seeds.py and a notebook call.

May import all of mmgradsplit.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mmgradsplit.apis.preparation import prepare, use_mixed_precision

from .ownership import config_content, owned
from .trainings import Training, run_trainings


def train_seeds(
    configs: Sequence[str | Path],
    out: str | Path,
    *,
    repeat: int = 3,
    gpus: Sequence[str] = (),
    processes: int | None = None,
    amp: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, list[dict[str, float]]]:
    """Train each config with ``repeat`` seeds; each training is validated once, at its end.

    The runs are in ``<out>/<name of the config file>/seed_<seed>``. What was finished in an earlier
    call is not trained again.

    Args:
        configs: Config files, with different names.
        out: Folder of the results.
        repeat: Number of seeds, from ``randomness.seed`` of each config on (0 if it has none).
        gpus: GPUs to spread the trainings over.
        processes: Trainings at once; by default, one a GPU.
        amp: Mixed precision, see :func:`~mmgradsplit.apis.preparation.use_mixed_precision`.
        cfg_options: Values for keys of all configs.
        console: For progress and the table.

    Returns:
        The metrics of each seed, by the config's name.

    Raises:
        ValueError: If two configs have the same name, or the folder is of other configs.
        BlockingIOError: If another process works in the folder.
        RuntimeError: If trainings failed; what was finished stays.
    """
    console = console or Console()
    root = Path(out)
    names = [Path(config).stem for config in configs]
    if len(set(names)) < len(names):
        raise ValueError(
            f'the configs name the folders of their runs, so they must differ: {names}'
        )
    if repeat < 1:
        raise ValueError(f'--repeat must be at least 1, got {repeat}')
    trainings = []
    content = {}
    for name, config in zip(names, configs, strict=True):
        cfg = prepare(config, root, cfg_options)
        if amp:
            use_mixed_precision(cfg)
        content[name] = config_content(cfg)
        first = content[name]['seed']
        trainings += [Training(name, seed, cfg) for seed in range(first, first + repeat)]
    with owned(root, content, '--out'):
        results = run_trainings(trainings, root, gpus, processes, console)
    metrics = {name: [results[t] for t in trainings if t.name == name] for name in names}
    console.print(seeds_table(metrics))
    return metrics


def seeds_table(metrics: Mapping[str, Sequence[Mapping[str, float]]]) -> Table:
    """Mean and standard deviation (with n - 1) of every metric over the seeds.

    Args:
        metrics: The metrics of each seed, by name of the run.
    """
    table = Table(title='Mean ± standard deviation over the seeds')
    for column in ('metric', 'run'):
        table.add_column(column, no_wrap=True)
    for column in ('mean ± std', 'seeds'):
        table.add_column(column, justify='right', no_wrap=True)
    for metric in dict.fromkeys(key for runs in metrics.values() for run in runs for key in run):
        label = metric
        for name, runs in metrics.items():
            values = [run[metric] for run in runs if metric in run]
            if values:
                spread = f' ± {np.std(values, ddof=1):.3f}' if len(values) > 1 else ''
                table.add_row(label, name, f'{np.mean(values):.3f}{spread}', str(len(values)))
                label = ''
        table.add_section()
    return table
