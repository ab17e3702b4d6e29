"""Validation and test of all tasks. May import mmengine; evaluators come from the registry."""

from collections.abc import Mapping
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop, ValLoop

from mmgradsplit.registry import EVALUATOR, LOOPS

from .dataloaders import SequentialDataLoader, build_dataloaders, check_tasks


def _build(
    runner: Runner, dataloader: Any, evaluator: Any, references: Mapping | None, stage: str
) -> tuple[SequentialDataLoader, Evaluator]:
    loaders = build_dataloaders(runner, dataloader, f'{stage}_dataloader')
    check_tasks(evaluator, list(loaders), f'{stage}_evaluator')
    sequence = SequentialDataLoader(loaders)
    sizes = {task: len(dataset) for task, dataset in sequence.dataset.datasets.items()}
    evaluators = {task: runner.build_evaluator(evaluator[task]) for task in loaders}
    built = EVALUATOR.build(
        dict(
            type='mmgradsplit.MultiTaskEvaluator',
            evaluators=evaluators,
            sizes=sizes,
            references=references,
        )
    )
    return sequence, built


@LOOPS.register_module()
class MultiTaskValLoop(ValLoop):
    """Validates every task on its own data set with its own evaluator.

    Metrics appear as ``task/metric``, and ``delta_m`` where references are given.

    Args:
        runner: mmengine's runner.
        dataloader: Mapping from task to its dataloader config.
        evaluator: Mapping from task to its metric config(s).
        references: Single-task values for delta_m, as
            :class:`~mmgradsplit.evaluation.MultiTaskEvaluator` takes them.
        fp16: Whether to validate under autocast.

    Raises:
        ValueError: If dataloaders, evaluators or references do not fit the model's tasks.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, dict],
        evaluator: Mapping[str, Any],
        references: Mapping[str, Any] | None = None,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, *_build(runner, dataloader, evaluator, references, 'val'), fp16)


@LOOPS.register_module()
class MultiTaskTestLoop(TestLoop):
    """Tests every task as :class:`MultiTaskValLoop` validates it.

    Args:
        runner: mmengine's runner.
        dataloader: Mapping from task to its dataloader config.
        evaluator: Mapping from task to its metric config(s).
        references: Single-task values for delta_m.
        fp16: Whether to test under autocast.

    Raises:
        ValueError: If dataloaders, evaluators or references do not fit the model's tasks.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, dict],
        evaluator: Mapping[str, Any],
        references: Mapping[str, Any] | None = None,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, *_build(runner, dataloader, evaluator, references, 'test'), fp16)
