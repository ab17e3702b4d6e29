"""Chooses some of a config's tasks, so that one config serves every combination."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmgradsplit.utils import did_you_mean

# Where a config has things by task.
BY_TASK = (
    'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
    'train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'custom_hooks', 'references', 'accuracies',
)  # fmt: skip


def select_tasks(cfg: Config, tasks: Sequence[str]) -> None:
    """Keep ``tasks``, in this order, and drop all others from a multi-task config.

    Whatever is keyed by task, or by ``task/metric``, is reduced, at any depth: ``model.tasks``,
    dataloaders, evaluators, references, fields of annotations, weights of an allocator, a weighting
    or an aggregator, held-out sets of hooks.
    The relation mask is not: a relations file may hold more tasks than the model has.

    Args:
        cfg: Config of a MultiTaskModel; it changes.
        tasks: Names of the tasks; they order the filter groups.

    Raises:
        ValueError: If a task is not in the config, or named twice, or there is none.
    """
    known = list(cfg.model.tasks)
    if isinstance(tasks, str) or not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f'tasks must be a list of different names out of {known}, got {tasks!r}')
    for task in tasks:
        if task not in known:
            hint = did_you_mean(task, known)
            raise ValueError(f"tasks: the config has no task '{task}', only {known}{hint}")
    cfg.model.tasks = {task: cfg.model.tasks[task] for task in tasks}
    cfg.model.order = list(tasks)
    cfg.tasks = list(tasks)
    if isinstance(cfg.get('load_from'), Mapping):
        dropped = {*known} - {*tasks}
        cfg.load_from = {part: file for part, file in cfg.load_from.items() if part not in dropped}
    for key in BY_TASK:
        if cfg.get(key):
            cfg[key] = _reduced(cfg[key], known, tasks)


def _reduced(value: Any, known: Sequence[str], tasks: Sequence[str]) -> Any:
    """A part of a config without what is of other tasks."""
    if isinstance(value, Mapping):
        named = [str(name).partition('/')[0] for name in value]
        if named and {*named} <= {*known}:
            order = {task: place for place, task in enumerate(tasks)}
            kept = [name for name in value if str(name).partition('/')[0] in order]
            kept.sort(key=lambda name: order[str(name).partition('/')[0]])
            return {name: value[name] for name in kept}
        return {name: _reduced(part, known, tasks) for name, part in value.items()}
    if isinstance(value, list | tuple):
        if value and all(_is_metric(each, known) for each in value):
            return type(value)(each for each in value if each.partition('/')[0] in tasks)
        return type(value)(_reduced(each, known, tasks) for each in value)
    return value


def _is_metric(value: Any, known: Sequence[str]) -> bool:
    """Whether a value names a metric of a task, as ``task/metric``."""
    return isinstance(value, str) and '/' in value and value.partition('/')[0] in known
