"""Distributions of gradient angles: what tools/analysis_tools/gradient_angles.py calls."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.apis.start_weights import load_parts, parts_to_load
from mmgradsplit.optim import Weighting, build_weighting
from mmgradsplit.registry import MODELS
from mmgradsplit.utils import config_name, load_fitting, read_checkpoint, seed_all, write_json
from mmgradsplit.utils.tracing import kept_generators
from mmgradsplit.visualization import draw_angles, save_figure

from .angles import ALLOCATIONS, MODULES, build_allocators, described, measure_angles
from .task_batches import TaskBatches, joint_dataloader
from .task_gradients import module_parameters, multi_task

FILE, PICTURE = 'angles.json', 'angles.png'


def gradient_angles(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    out: str | Path = 'angles',
    *,
    allocators: Sequence[str | Mapping] = ALLOCATIONS,
    modules: Sequence[str] | None = None,
    batches: int = 100,
    samples: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> dict[str, dict[str, dict[str, dict[str, dict]]]]:
    """Measure the angles between gradients under several allocators (STA, Figures 1 and 2).

    The network is not updated, and all allocators see the same batches: the first ones of a
    training with this seed. Between tasks, the gradients are those of the task losses, the mean
    over the samples allocated to a task. Between successive steps, they are those of the loss that
    is trained with: what the config's weighting makes of the task losses. The folder gets
    ``angles.json`` and ``angles.png``.

    Args:
        config: Config file of joint training, or a config.
        checkpoint: Weights of the network, and where it is one to resume from, the state of the
            weighting. By default both are as training would start: as the config initialises them,
            the network from ``load_from`` where that is set.
        out: Folder to write to.
        allocators: Configs, or short forms: ``'STA'``, or ``'STA:2'`` for two tasks a sample.
        modules: Names, or patterns, of the backbone's modules. By default, the whole backbone.
        batches: Number of batches.
        samples: Samples of a batch; by default the config's batch size.
        seed: Seed of batches, allocations and initial weights; by default ``randomness.seed`` of
            the config, or 0.
        device: Such as ``'cuda:0'``; by default a GPU where there is one.
        cfg_options: Values for keys of the config.
        console: For progress and tables.

    Returns:
        By allocator and module: in ``tasks`` by pair, such as ``'seg-depth'``, one angle a step,
        and in ``steps`` those of successive steps, ``within`` an iteration (sub-steps of ISTA) and
        ``across`` iterations. Each is a dict of ``count``, ``mean``, ``std``, ``median``,
        ``above_90`` and ``angles`` (degrees; None where a gradient is zero, such as that of a task
        without a sample).

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the config is not one of joint training, an argument does not fit, or the
            checkpoint is of another weighting.
        FloatingPointError: If a gradient is not finite.
    """
    console = console or Console()
    for name, value in (('batches', batches), ('samples', samples)):
        if value is not None and value < 1:
            raise ValueError(f'--{name} must be at least 1, got {value}')
    if checkpoint is not None and '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f"no checkpoint '{checkpoint}'")
    cfg = prepare(config, out, cfg_options)
    dataloaders = joint_dataloader(cfg, 'the tool for gradient angles')
    if seed is None:
        seed = int((cfg.get('randomness') or {}).get('seed') or 0)
    with kept_generators():
        model, state = _model(cfg, checkpoint, seed)
        model = model.to(device or get_device()).train()
        weighting = _weighting(cfg, model, state)
        tasks = list(model.tasks)
        built = build_allocators(allocators, tasks, '--allocators')
        names = list(module_parameters(model.backbone, modules or MODULES, '--modules'))
        stream = TaskBatches(dataloaders, samples, seed)
        positions = track(range(batches), 'batches', console=console)
        annotations = cfg.train_cfg.get('annotations')
        measured = measure_angles(model, weighting, stream, built, names, positions, annotations)
    found = described(measured)
    content = dict(
        config=config_name(cfg),
        checkpoint=None if checkpoint is None else str(checkpoint),
        seed=seed, tasks=tasks, modules=names, batches=batches,
        samples=samples or cfg.train_dataloader.batch_size, allocators=found,
    )  # fmt: skip
    write_json(Path(out, FILE), content)
    picture = save_figure(draw_angles(found), Path(out, PICTURE))
    for module in names:
        console.print(angle_table({name: of[module] for name, of in found.items()}, module))
    console.print(f'Numbers: {Path(out, FILE)}\nPicture: {picture}', soft_wrap=True, markup=False)
    return found


def angle_table(found: Mapping[str, Mapping[str, Mapping[str, Mapping]]], title: str) -> Table:
    """The angles on one module as a table.

    Args:
        found: By allocator, kind and name, as :func:`gradient_angles` returns it for a module.
        title: Title of the table.
    """
    table = Table(title=f'{title}: angles between gradients, in degrees')
    for column in ('between', 'allocator'):
        table.add_column(column, no_wrap=True)
    for column in ('mean ± std', 'median', '>90°', 'angles'):
        table.add_column(column, justify='right', no_wrap=True)
    for kind, of_kind in next(iter(found.values())).items():
        for name in of_kind:
            shown = [(allocator, of[kind][name]) for allocator, of in found.items()]
            shown = [(allocator, of) for allocator, of in shown if of['count']]
            for allocator, of in shown:
                label = f'steps {name} iterations' if kind == 'steps' else name
                table.add_row(
                    label if allocator == shown[0][0] else '',
                    allocator,
                    f'{of["mean"]:.1f} ± {of["std"]:.1f}',
                    f'{of["median"]:.1f}',
                    f'{of["above_90"]:.0%}',
                    str(of['count']),
                )
            if shown:
                table.add_section()
    return table


def _model(cfg: Config, checkpoint: str | Path | None, seed: int) -> tuple[Any, Any]:
    """The network of a checkpoint, or as training starts with it; and the weighting's state."""
    init_default_scope(cfg.default_scope)
    seed_all(seed)
    model: Any = multi_task(MODELS.build(cfg.model))
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        load_fitting(model, content, checkpoint)
        return model, content.get('optimizer', {}).get('weighting')
    with _few_words():
        model.init_weights()
    parts = parts_to_load(cfg)
    if parts is not None:
        load_parts(model, parts)
    elif cfg.get('load_from'):
        load_fitting(model, read_checkpoint(cfg.load_from), cfg.load_from)
    return model, None


def _weighting(cfg: Config, model: Any, state: Mapping[str, Any] | None) -> Weighting:
    """The config's weighting with the state of a checkpoint, or as training starts with it."""
    kind = (cfg.get('optim_wrapper') or {}).get('weighting')
    weighting = build_weighting(kind, list(model.tasks), model.loss_weights)
    weighting.link(model.backbone)
    first = next(model.parameters())
    weighting.to(first.device, torch.promote_types(first.dtype, torch.float32))
    if state is not None:
        try:
            weighting.load_state_dict(state)
        except RuntimeError as error:  # torch's, of keys or shapes
            raise ValueError(
                f'the checkpoint is of another optim_wrapper.weighting than {weighting}; give the '
                f'config that wrote it'
            ) from error
    return weighting


@contextmanager
def _few_words() -> Iterator[None]:
    """Let mmengine warn, but not list where each parameter's values come from."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
