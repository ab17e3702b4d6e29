"""Validation and test of all tasks against upstream's loop on each task alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fixtures_training import ALL, build, tiny_config, write_data
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner, ValLoop

from mmgradsplit.registry import METRICS
from mmgradsplit.utils import ConfigError


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # 14 samples: batches of 5 leave a smaller one.
    return write_data(tmp_path_factory.mktemp('data'), number=14)


@pytest.fixture
def runner(data: Path, tmp_path: Path) -> Runner:
    cfg = tiny_config(data)
    cfg.test_dataloader, cfg.test_evaluator = cfg.val_dataloader, cfg.val_evaluator
    cfg.test_cfg = dict(type='MultiTaskTestLoop')
    return build(cfg, tmp_path)


def alone(runner: Runner, task: str) -> dict[str, float]:
    """What upstream's loop measures of the task's own model."""
    whole, loop = runner.model, runner._val_loop
    runner.model = whole.tasks[task]
    try:
        runner._val_loop = ValLoop(
            runner, runner.cfg.val_dataloader[task], runner.cfg.val_evaluator[task]
        )
        return runner._val_loop.run()
    finally:
        runner.model, runner._val_loop = whole, loop


def test_each_metric_is_that_of_the_task_alone(runner: Runner) -> None:
    metrics = runner.val()
    expected = {
        f'{task}/{name}': value for task in ALL for name, value in alone(runner, task).items()
    }
    assert metrics == expected
    assert {'attribute/MA', 'reid/mAP', 'pose/PCK', 'parsing/mIoU'} < set(metrics)
    assert 'delta_m' not in metrics
    assert runner.test() == expected


@METRICS.register_module(force=True)
class ErrorMetric(BaseMetric):
    """Of which lower is better."""

    lower_is_better: ClassVar = {'error': True}

    def process(self, data_batch: Any, data_samples: Sequence) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict[str, float]:
        return dict(error=float(len(results)))


def test_delta_m(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute', 'parsing'))
    cfg.val_evaluator.parsing = dict(type='ErrorMetric')
    cfg.val_cfg.references = {'attribute/MA': 80.0, 'parsing/error': 50.0}
    metrics = build(cfg, tmp_path).val()
    expected = 100 / 2 * (
        (metrics['attribute/MA'] - 80) / 80 - (metrics['parsing/error'] - 50) / 50
    )  # fmt: skip
    assert metrics['delta_m'] == pytest.approx(expected)


def test_a_reference_that_no_metric_has(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('attribute', 'parsing'))
    cfg.val_cfg.references = {'attribute/MA': 80.0, 'parsing/IoU': 40.0}
    with pytest.raises(ConfigError, match=r"references name \['parsing/IoU'\].*parsing/mIoU"):
        build(cfg, tmp_path).val()
