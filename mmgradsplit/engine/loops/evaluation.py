"""Validation and test of all tasks."""

from collections.abc import Mapping
from typing import Any

from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop

from mmgradsplit.registry import EVALUATOR, LOOPS
from mmgradsplit.utils import at_key, unwrapped
from mmgradsplit.utils.config_errors import at_module

from .dataloaders import SequentialDataLoader, build_dataloaders, check_tasks, device_of


class MultiTaskLoop(BaseLoop):
    """What validation and test of several tasks have in common; a base beside mmengine's loop.

    Args:
        runner: mmengine's runner.
        dataloader: Mapping from task to its dataloader config.
        evaluator: Mapping from task to its metric config(s).
        references: Single-task values for delta_m, as
            :class:`~mmgradsplit.evaluation.MultiTaskEvaluator` takes them.
        fp16: Whether to run under autocast.

    Attributes:
        stage: What the keys of the config begin with.

    Raises:
        ValueError: If dataloaders, evaluators or references do not fit the model's tasks.
    """

    stage: str

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, dict],
        evaluator: Mapping[str, Any],
        references: Mapping[str, Any] | None = None,
        fp16: bool = False,
    ) -> None:
        loaders = build_dataloaders(runner, dataloader, f'{self.stage}_dataloader')
        check_tasks(evaluator, list(loaders), f'{self.stage}_evaluator')
        sequence = SequentialDataLoader(
            loaders, f'{self.stage}_dataloader', device=device_of(runner)
        )
        built = EVALUATOR.build(
            dict(
                type='mmgradsplit.MultiTaskEvaluator',
                evaluators={task: self._evaluator(runner, evaluator, task) for task in loaders},
                sizes={task: len(of) for task, of in sequence.dataset.datasets.items()},
                references=references,
                key=f'{self.stage}_evaluator',
            )
        )
        super().__init__(runner, sequence, built, fp16)

    def _evaluator(self, runner: Runner, configs: Mapping[str, Any], task: str) -> Any:
        with at_key(f'{self.stage}_evaluator.{task}', configs[task]):
            return runner.build_evaluator(configs[task])

    def run_iter(self, idx: int, data_batch: Mapping[str, Any]) -> None:
        """Predict a batch, and hand it to the evaluator of its task."""
        with at_module(unwrapped(self.runner.model), f'tasks.{data_batch["task"]}'):
            super().run_iter(idx, data_batch)


@LOOPS.register_module()
class MultiTaskValLoop(MultiTaskLoop, ValLoop):
    """Validates every task on its own data set with its own evaluator.

    Metrics appear as ``task/metric``, and ``delta_m`` where references are given. Arguments are
    those of :class:`MultiTaskLoop`.
    """

    stage = 'val'


@LOOPS.register_module()
class MultiTaskTestLoop(MultiTaskLoop, TestLoop):
    """Tests every task as :class:`MultiTaskValLoop` validates it."""

    stage = 'test'
