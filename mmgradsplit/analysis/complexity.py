"""Parameters and multiply-accumulates of a config's model, whole and by module."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.analysis import parameter_count
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from torch import nn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS
from mmgradsplit.utils import pipeline_of

from .complexity_counter import MacCounter

BACKBONE, TASKS = 'backbone', 'tasks'
Size = tuple[int, int]


@dataclass(frozen=True)
class Complexity:
    """What a model costs.

    Attributes:
        name: Name of the config.
        parameters: Number of parameters by module; ``''`` is the whole model.
        macs: Multiply-accumulates by module for one image; ``''`` is the whole model. Tasks that
            share their features share a backbone pass, which is counted once.
        sizes: Size of the image, (height, width), by task; by ``''`` for a model without tasks.
        passes: The tasks by backbone pass. Each pass is at the size of its first task.
        uncounted: Operators met that are outside the count.
    """

    name: str
    parameters: dict[str, int]
    macs: dict[str, int]
    sizes: dict[str, Size]
    passes: list[list[str]]
    uncounted: list[str]


def measure_complexity(
    config: str | Path | Config,
    size: Size | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Complexity:
    """Count a model's parameters, and the multiply-accumulates of all its tasks for one image.

    One image goes through every task's forward pass (its ``mode='tensor'``: without pre- and
    post-processing, losses or flip test). Shapes are enough for that, so nothing is computed; a
    model whose course depends on values runs on the CPU instead, from random weights.

    Args:
        config: Config file, or a config: of a MultiTaskModel or of any toolbox's model.
        size: (height, width) of the images of all tasks; by default each task's own, see
            :func:`input_sizes`.
        cfg_options: Values for keys of the config, such as ``{'tasks': ['pose']}``.

    Raises:
        FileNotFoundError: If there is no such config file.
        ValueError: If a task's image size is not given, and neither its config nor its data say it.

    Example:
        >>> cost = measure_complexity('configs/multihead/r50gn_4task.py')
        >>> cost.parameters[''], cost.macs['tasks.pose']
    """
    cfg = prepare(config, cfg_options=cfg_options)
    init_default_scope(cfg.default_scope)
    model: Any = MODELS.build(cfg.model).eval()
    parameters = parameter_count(model)
    passes: list[list[str]] = model.passes if TASKS in cfg.model else [['']]
    tasks = [task for group in passes for task in group]
    sizes = input_sizes(cfg, tasks) if size is None else dict.fromkeys(tasks, size)
    try:
        macs, uncounted = _count(model.to('meta'), passes, sizes)
    except (RuntimeError, TypeError):  # what torch raises where a value of a tensor is asked for
        macs, uncounted = _count(MODELS.build(cfg.model).eval(), passes, sizes)
    return Complexity(
        name=Path(cfg.filename or cfg.work_dir).stem,
        parameters={name: parameters.get(name, 0) for name in macs},
        macs=macs,
        sizes=sizes,
        passes=passes,
        uncounted=uncounted,
    )


def input_sizes(cfg: Config, tasks: Sequence[str]) -> dict[str, Size]:
    """Size, (height, width), of each task's images in its validation.

    The last step of the pipeline with a ``scale`` or an ``input_size`` says it; where none does,
    the first image of the data set.

    Args:
        cfg: The config.
        tasks: Its tasks; ``['']`` for a model without tasks, whose ``val_dataloader`` is a single
            one.

    Raises:
        ValueError: If neither the pipeline nor the data say it.
    """
    loaders = cfg.get('val_dataloader') or {}
    sizes = {}
    for task in tasks:
        loader = loaders.get(task) if task else loaders
        dataset = (loader or {}).get('dataset') or {}
        for step in pipeline_of(dataset):
            scale = step.get('scale') or step.get('input_size')
            if isinstance(scale, Sequence) and len(scale) == 2:
                sizes[task] = int(scale[1]), int(scale[0])  # the toolboxes say (width, height)
        if task not in sizes:
            key = f'val_dataloader.{task}' if task else 'val_dataloader'
            sizes[task] = _first_image(dataset, key)
    return sizes


def _first_image(dataset: Mapping[str, Any], key: str) -> Size:
    try:
        height, width = DATASETS.build(dataset)[0]['inputs'].shape[-2:]
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{key}.dataset.pipeline has no step with a 'scale' or an 'input_size' of two numbers, "
            f'which would say the size of the images, and the data set cannot be read ({error}); '
            f'give it by --shape'
        ) from error
    return int(height), int(width)


def _count(
    model: nn.Module, passes: list[list[str]], sizes: Mapping[str, Size]
) -> tuple[dict[str, int], list[str]]:
    """Multiply-accumulates by module, and the operators outside the count."""
    device = next(model.parameters()).device
    macs: Counter[str] = Counter()
    uncounted: set[str] = set()
    for group in passes:
        for task in group:
            image = torch.zeros(1, 3, *sizes[task], device=device)
            with torch.no_grad(), MacCounter(model) as counter:
                samples = None if task else _samples(model, sizes[task])
                model(image, samples, mode='tensor', **({'task': task} if task else {}))
            found = counter.by_module()
            uncounted |= counter.uncounted
            if task != group[0]:
                # The features are there already, from the first task's pass.
                found[''] -= found[BACKBONE]
                found = {name: count for name, count in found.items() if not _in_backbone(name)}
            macs.update(found)
    return dict(macs), sorted(uncounted)


def _samples(model: nn.Module, size: Size) -> list[Any] | None:
    """What the second stage of a detector of mmdet's asks of an image beside its pixels."""
    if not any(base.__module__.partition('.')[0] == 'mmdet' for base in type(model).__mro__):
        return None
    from mmdet.structures import DetDataSample  # slow, and needed by few

    shapes = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape'), size)
    return [DetDataSample(metainfo=dict(**shapes, scale_factor=(1.0, 1.0)))]


def _in_backbone(name: str) -> bool:
    return name.split('.')[0] == BACKBONE
