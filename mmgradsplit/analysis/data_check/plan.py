"""Which data sets a config has, what they are for, and how often a training sees them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from mmgradsplit.apis.methods import trains_jointly
from mmgradsplit.engine.loops.checks import HEADS

STAGES = ('train', 'val', 'test')


@dataclass
class PlannedSet:
    """One data set of a config.

    Attributes:
        key: Its config key, such as ``'train_dataloader.pose'``.
        config: The config of its dataloader.
        outputs: Number of classes of the heads that learn from it, as ``CheckedPipeline`` takes it.
        also: Other keys under which the config has the same data set.
    """

    key: str
    config: Mapping[str, Any]
    outputs: dict[str, int]
    also: list[str] = field(default_factory=list)

    @property
    def trains(self) -> bool:
        """Whether it is one to train on."""
        return self.key.startswith('train')


def planned_sets(cfg: Config) -> list[PlannedSet]:
    """All data sets of a config, each once.

    Args:
        cfg: The config, prepared.

    Raises:
        ValueError: If it has none.
    """
    found: list[PlannedSet] = []
    for key, config, tasks in _loaders(cfg):
        outputs = _outputs(cfg, tasks)
        same = [each for each in found if each.config.get('dataset') == config.get('dataset')]
        if same:
            same[0].also.append(key)
            same[0].outputs.update(outputs)
        else:
            found.append(PlannedSet(key, config, outputs))
    if not found:
        raise ValueError('the config has no train_dataloader, val_dataloader or test_dataloader')
    return found


def _loaders(cfg: Config) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    tasks = list((cfg.get('model') or {}).get('tasks') or {})
    for stage in STAGES:
        loaders = cfg.get(f'{stage}_dataloader')
        if not isinstance(loaders, Mapping):
            continue
        if 'dataset' in loaders:
            yield f'{stage}_dataloader', loaders, tasks
            continue
        for task, loader in loaders.items():
            if isinstance(loader, Mapping) and 'dataset' in loader:
                yield f'{stage}_dataloader.{task}', loader, [task]


def _outputs(cfg: Config, tasks: list[str]) -> dict[str, int]:
    """What ``numbers_of_classes`` says of the model, from its config."""
    models = (cfg.get('model') or {}).get('tasks') or {}
    numbers = {}
    for task in tasks:
        for name, learned in HEADS.items():
            head = (models.get(task) or {}).get(name)
            number = head.get('num_classes') if isinstance(head, Mapping) else None
            if isinstance(number, int):
                numbers[learned] = number
    return numbers


def times_seen(cfg: Config, planned: PlannedSet, samples: int) -> float | None:
    """How often a training shows each sample of a set, at the mean.

    Args:
        cfg: The config.
        planned: One of its sets.
        samples: How many samples it has.

    Returns:
        The number, for one process; None of a set that is not trained on, or where the schedule is
        not by epochs.
    """
    schedule, batch = cfg.get('train_cfg') or {}, planned.config.get('batch_size')
    epochs = schedule.get('max_epochs')
    if not planned.trains or not samples or not batch or not epochs:
        return None
    once = math.ceil(samples / batch)
    iterations = schedule.get('iters_per_epoch') or (once if trains_jointly(cfg) else None)
    return epochs * iterations * batch / samples if iterations else float(epochs)
