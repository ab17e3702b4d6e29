"""Conflict maps of trained networks: what tools/analysis_tools/conflict_frequency.py calls."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from rich.console import Console
from rich.table import Table

from mmgradsplit.apis.inference import load_model
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.utils import config_name, write_json
from mmgradsplit.utils.tracing import kept_generators
from mmgradsplit.visualization import draw_conflicts, save_figure

from .conflicts import Layers, measure_cosines, summarize_cosines
from .task_batches import TaskBatches, task_dataloaders
from .task_gradients import module_parameters

FILE, PICTURE = 'conflicts.json', 'conflicts.png'
MASKED = ', masked'


def conflict_maps(
    config: str | Path | Config,
    checkpoints: Sequence[str | Path],
    out: str | Path = 'conflicts',
    *,
    labels: Sequence[str] | None = None,
    modules: Sequence[str] | None = None,
    repeats: int = 20,
    samples: int = 16,
    masked: bool = False,
    seed: int | None = None,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, Layers]:
    """Measure how often task gradients conflict in trained networks (section 4.4, Figure 3).

    For each repeat, every task has one batch of its ``train_dataloader``; all networks see the same
    batches. A conflict is a negative cosine of two tasks' gradients. The folder gets
    ``conflicts.json`` and ``conflicts.png``, with a row for each network.

    Args:
        config: Config file of the networks, or a config.
        checkpoints: Weights of networks of this config, such as those trained without and with
            GradSplit.
        out: Folder to write to.
        labels: Names of the rows. By default, those of the checkpoints' folders and files.
        modules: Names, or patterns, of the backbone's modules. By default, the first block of every
            stage.
        repeats: Batches of each task. The paper: 20.
        samples: Samples of a batch. The paper: 16.
        masked: Whether to add a row for the gradients that the config's relation mask leaves, which
            are those that GradSplit trains with.
        seed: Seed of the batches; by default ``randomness.seed`` of the config, or 0.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        cfg_options: Values for keys of the config.
        console: For the tables.

    Returns:
        By row and module ``cosine_mean``, ``cosine_std`` and ``frequency``, each T lists of T
        numbers.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a module, number, or label does not fit, the config has no data set for each
            task, or with ``masked`` no relation mask.
    """
    console = console or Console()
    names = _labels(checkpoints, labels)
    for name, value in (('repeats', repeats), ('samples', samples)):
        if value < 1:
            raise ValueError(f'--{name} must be at least 1, got {value}')
    cfg = prepare(config, out, cfg_options)
    if masked and 'relations' not in (cfg.get('optim_wrapper') or {}):
        raise ValueError(
            '--masked shows the gradients that optim_wrapper.relations of the config leaves, but '
            'it has none; give a config of GradSplit'
        )
    if seed is None:
        seed = int((cfg.get('randomness') or {}).get('seed') or 0)
    rows: dict[str, Layers] = {}
    tasks: list[str] = []
    with kept_generators():
        for name, checkpoint in zip(names, checkpoints, strict=True):
            model: Any = load_model(cfg, checkpoint, device)
            model.train()
            tasks = list(model.tasks)
            parameters = module_parameters(model.backbone, modules, '--modules')
            loaders = task_dataloaders(cfg, tasks, 'the tool for conflict frequencies')
            batches = TaskBatches(loaders, samples, seed)
            variants: dict[str, Sequence] = {name: ()}
            if masked:
                variants[name + MASKED] = build_optim_wrapper(model, cfg.optim_wrapper).leaves
            for row, leaves in variants.items():
                cosines = measure_cosines(model, batches, parameters, range(repeats), leaves)
                rows[row] = summarize_cosines(cosines)
                console.print(conflict_table(rows[row], tasks, row))
    content = dict(
        config=config_name(cfg),
        checkpoints={n: str(c) for n, c in zip(names, checkpoints, strict=True)},
        seed=seed, tasks=tasks, samples=samples, repeats=repeats, rows=rows,
    )  # fmt: skip
    write_json(Path(out, FILE), content)
    picture = save_figure(draw_conflicts(rows, tasks), Path(out, PICTURE))
    console.print(f'Numbers: {Path(out, FILE)}\nPicture: {picture}', soft_wrap=True, markup=False)
    return rows


def conflict_table(layers: Layers, tasks: Sequence[str], title: str) -> Table:
    """Conflict frequencies and cosines of one network as a table.

    Args:
        layers: By module ``frequency``, ``cosine_mean`` and ``cosine_std``.
        tasks: Names of the tasks.
        title: Title of the table.
    """
    table = Table(title=f'{title}: conflict frequency (mean cosine ± spread)')
    table.add_column('tasks', no_wrap=True)
    for name in layers:
        table.add_column(name, justify='right')
    for i, j in itertools.combinations(range(len(tasks)), 2):
        cells = [
            f'{of["frequency"][i][j]:.2f} '
            f'({of["cosine_mean"][i][j]:+.2f} ± {of["cosine_std"][i][j]:.2f})'
            for of in layers.values()
        ]
        table.add_row(f'{tasks[i]} – {tasks[j]}', *cells)
    off_diagonal = ~np.eye(len(tasks), dtype=bool)
    means = [np.asarray(of['frequency'])[off_diagonal].mean() for of in layers.values()]
    table.add_section()
    table.add_row('mean', *(f'{mean:.2f}' for mean in means))
    return table


def _labels(checkpoints: Sequence[str | Path], labels: Sequence[str] | None) -> list[str]:
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    names = [f'{p.resolve().parent.name}/{p.stem}' for p in paths] if labels is None else labels
    if not names or len(names) != len(paths) or len(set(names)) < len(names):
        raise ValueError(
            f'--labels must be different names, one for each checkpoint: {len(paths)} checkpoints, '
            f'labels {list(names)}'
        )
    return list(names)
