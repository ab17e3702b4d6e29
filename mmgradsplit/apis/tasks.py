"""Chooses some of a config's tasks, so that one config serves every combination.

May import mmengine.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

BY_TASK = (
    'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator',
)  # fmt: skip


def select_tasks(cfg: Config, tasks: Sequence[str]) -> None:
    """Keep ``tasks``, in this order, and drop all others from a multi-task config.

    Whatever is keyed by task is reduced: ``model.tasks``, dataloaders, evaluators, references,
    the fields of annotations, and what a weighting has by task.
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
            near = difflib.get_close_matches(task, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ''
            raise ValueError(f"tasks: the config has no task '{task}', only {known}{hint}")
    cfg.model.tasks = {task: cfg.model.tasks[task] for task in tasks}
    cfg.model.order = list(tasks)
    cfg.tasks = list(tasks)
    for key in BY_TASK:
        # In joint training one dataloader serves all tasks.
        if isinstance(cfg.get(key), Mapping) and not set(known).isdisjoint(cfg[key]):
            cfg[key] = {task: cfg[key][task] for task in tasks if task in cfg[key]}
    train_cfg = cfg.get('train_cfg') or {}
    if train_cfg.get('annotations'):
        train_cfg['annotations'] = {
            task: field for task, field in train_cfg['annotations'].items() if task in tasks
        }
    weighting = cfg.model.get('weighting') or {}
    if weighting.get('metrics'):
        weighting['metrics'] = [m for m in weighting['metrics'] if m.split('/')[0] in tasks]
    if isinstance(weighting.get('weights'), Mapping):
        weighting['weights'] = _of(tasks, weighting['weights'])
    for owner in (weighting, cfg, cfg.get('val_cfg'), cfg.get('test_cfg')):
        if owner and owner.get('references'):
            owner['references'] = _of(tasks, owner['references'])


def _of(tasks: Sequence[str], references: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in references.items() if name.split('/')[0] in tasks}
