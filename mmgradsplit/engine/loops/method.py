"""What the training loops tell the optimizer wrapper."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn


class PlainMethod:
    """Stands for a method where the config has a plain optimizer wrapper of mmengine's.

    It counts steps, and asks for nothing else. The wrappers of mmgradsplit have the same methods,
    see :class:`~mmgradsplit.optim.MultiTaskOptimWrapper`.

    Args:
        wrapper: mmengine's wrapper; or wrappers by task, each of which updates in the steps of its
            own task.
        tasks: Names of the tasks.

    Attributes:
        by_task: Whether each task has a step of its own.
        needs: Nothing.

    Raises:
        ValueError: If there are wrappers by task, but not for each.
    """

    needs: frozenset[str] = frozenset()
    validated_at = -1

    def __init__(self, wrapper: OptimWrapper, tasks: Sequence[str]) -> None:
        self.by_task = isinstance(wrapper, OptimWrapperDict)
        self.wrappers = dict(wrapper.items()) if self.by_task else dict.fromkeys(tasks, wrapper)
        self.tasks = list(tasks)
        missing = [task for task in tasks if task not in self.wrappers]
        if missing:
            raise ValueError(
                f'optim_wrapper has no wrapper for the tasks {missing}; name one for each '
                f'task, or use a single wrapper or GradSplitOptimWrapper for all of them'
            )

    def begin_training(
        self,
        model: nn.Module,
        done: int,
        total: int,
        sub_steps: int,
        task_steps: Mapping[str, int],
    ) -> None:
        """Tell mmengine's wrappers how many backward passes there are."""
        for wrapper, task in {wrapper: task for task, wrapper in self.wrappers.items()}.items():
            number = sub_steps
            if task_steps:
                number = task_steps[task] if self.by_task else sum(task_steps.values())
            wrapper.initialize_count_status(model, done * number, total * number)

    def begin_step(self, tasks: Sequence[str], final: bool) -> None:
        """Nothing to take note of."""

    def end_epoch(self) -> None:
        """Nothing to take note of."""

    def validated(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Nothing to take note of."""

    def revise(self, losses: Mapping[str, Tensor]) -> None:
        """Nothing to take note of."""


def method_of(wrapper: OptimWrapper, tasks: Sequence[str]) -> Any:
    """The method of an optimizer wrapper: itself, where it makes updates of task losses.

    Args:
        wrapper: The optimizer wrapper of a runner.
        tasks: Names of the tasks.

    Raises:
        ValueError: If it has wrappers by task, but not for each.
    """
    return wrapper if hasattr(wrapper, 'update_tasks') else PlainMethod(wrapper, tasks)
