"""How many task steps each task takes in a major iteration."""

import copy
from collections.abc import Mapping
from typing import Any

REPEAT = 'repeat'


def task_repeats(dataloaders: Mapping[str, Any]) -> dict[str, int]:
    """The task steps of each task in a major iteration, ``repeat`` of its dataloader.

    Args:
        dataloaders: ``train_dataloader`` of round-robin training, an entry for each task.

    Returns:
        Steps by task, 1 where nothing is said.

    Raises:
        ValueError: If one is no whole number of at least 1.
    """
    repeats = {
        task: cfg.get(REPEAT, 1) if isinstance(cfg, Mapping) else 1
        for task, cfg in dataloaders.items()
    }
    for task, number in repeats.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(
                f'train_dataloader.{task}.{REPEAT} is the number of task steps in a major '
                f'iteration, a whole number of at least 1, got {number!r}; for a task that is to '
                f'train less often than the others, raise theirs'
            )
    return repeats


def without_repeat(dataloader: Any) -> Any:
    """A dataloader's config as mmengine takes it.

    Args:
        dataloader: The config, which stays as it is.
    """
    if not isinstance(dataloader, Mapping) or REPEAT not in dataloader:
        return dataloader
    plain: Any = copy.copy(dataloader)
    del plain[REPEAT]
    return plain


def turns(repeats: Mapping[str, int]) -> dict[str, str]:
    """The task steps of a major iteration in order: all tasks in turn, as long as they have steps.

    Args:
        repeats: Steps by task.

    Returns:
        The task of each step by the step's name, which is that of the task for its first one.

    Example:
        >>> turns(dict(pose=3, reid=1))
        {'pose': 'pose', 'reid': 'reid', 'pose, step 2': 'pose', 'pose, step 3': 'pose'}
    """
    return {
        task if number == 1 else f'{task}, step {number}': task
        for number in range(1, max(repeats.values()) + 1)
        for task, steps in repeats.items()
        if number <= steps
    }
