"""The evaluator of all tasks: who gets which batch, names, acc_mtl and delta_m."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from mmengine.evaluator import BaseMetric, Evaluator

from mmgradsplit.evaluation import MultiTaskEvaluator
from mmgradsplit.utils import ConfigError


class Mean(BaseMetric):
    """The mean of what it is given, and how much that was; nobody knows which is better."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.results += [sample['value'] for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'mean': sum(results) / len(results), 'number': len(results)}


class Given(BaseMetric):
    """Values that are given."""

    lower_is_better: ClassVar = {'mean': True, 'median': True, 'rmse': True, '*': False}

    def __init__(self, values: dict[str, float]) -> None:
        super().__init__()
        self.values = values

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict[str, float]:
        return self.values


def higher(value: float) -> dict:
    return dict(value=value, lower_is_better=False)


def summed_up(values: dict[str, dict[str, float]], references: dict) -> dict[str, float]:
    evaluators = {task: Evaluator([Given(metrics)]) for task, metrics in values.items()}
    built = MultiTaskEvaluator(evaluators, dict.fromkeys(values, 1), references)
    for task in values:
        built.process([{}], dict(task=task))
    return built.evaluate(len(values))


def evaluator(references: dict | None = None) -> MultiTaskEvaluator:
    evaluators = {task: Evaluator([Mean()]) for task in ('depth', 'pose')}
    built = MultiTaskEvaluator(evaluators, sizes={'depth': 2, 'pose': 3}, references=references)
    built.dataset_meta = {'depth': {'classes': 1}, 'pose': {'classes': 2}}
    return built


def measured(references: dict | None = None) -> dict[str, float]:
    built = evaluator(references)
    built.process([dict(value=1.0), dict(value=3.0)], dict(task='depth'))
    built.process([dict(value=60.0)], dict(task='pose'))
    built.process([dict(value=70.0), dict(value=80.0)], dict(task='pose'))
    return built.evaluate(5)


def test_batches_go_to_their_task() -> None:
    assert measured() == {
        'depth/mean': 2.0, 'depth/number': 2, 'pose/mean': 70.0, 'pose/number': 3,
    }  # fmt: skip


def test_samples_that_fill_up_a_distributed_batch_are_cut() -> None:
    built = evaluator()
    for task in ('depth', 'pose'):
        built.process([dict(value=float(i)) for i in range(4)], dict(task=task))
    metrics = built.evaluate(5)
    assert (metrics['depth/number'], metrics['pose/number']) == (2, 3)


def test_each_evaluator_gets_the_meta_information_of_its_data() -> None:
    built = evaluator()
    assert built.evaluators['depth'].dataset_meta == {'classes': 1}
    assert built.evaluators['pose'].metrics[0].dataset_meta == {'classes': 2}
    assert set(built.dataset_meta) == {'depth', 'pose'}


def test_delta_m_by_hand() -> None:
    # Depth: 2.0 for 2.5, lower is better: +20 %. Pose: 70 for 80: -12.5 %.
    metrics = measured(
        {'depth/mean': dict(value=2.5, lower_is_better=True), 'pose/mean': higher(80)}
    )
    assert metrics['delta_m'] == pytest.approx((20 - 12.5) / 2)
    assert measured({'depth/mean': higher(2), 'pose/mean': higher(70)})['delta_m'] == 0


def test_several_metrics_a_task_give_the_paper_s_numbers() -> None:
    """AMTL, supplement, Table C: single-task, and AMTL's row."""
    metrics = summed_up(
        dict(
            seg=dict(mIoU=43.44, aAcc=1.0),
            depth=dict(rmse=0.5670, delta1=82.11),
            normal={'mean': 20.8688, 'median': 15.1885, '11.25': 39.43},
        ),
        {
            'depth/delta1': 80.54,
            'depth/rmse': dict(value=0.5801, lower_is_better=True),
            'normal/mean': dict(value=19.4138, lower_is_better=True),
            'normal/median': dict(value=13.2616, lower_is_better=True),
            'normal/11.25': 45.36,
            'seg/mIoU': 44.49,
        },
    )
    assert metrics['acc_mtl'] == pytest.approx(0.3831, abs=1e-4)
    assert metrics['delta_m'] == pytest.approx(-3.98, abs=0.02)


def test_a_network_that_is_not_trained_can_be_validated() -> None:
    references = {'seg/mIoU': 50.0, 'depth/rmse': dict(value=0.5, lower_is_better=True)}
    metrics = summed_up(dict(seg=dict(mIoU=0.0), depth=dict(rmse=1.0)), references)
    assert metrics['acc_mtl'] == 0
    assert metrics['delta_m'] == -100
    metrics = summed_up(dict(seg=dict(mIoU=50.0), depth=dict(rmse=0.0)), references)
    assert math.isnan(metrics['acc_mtl'])
    assert metrics['delta_m'] == 50


@pytest.mark.parametrize(
    ('references', 'message'),
    [
        ({'pose/mean': 80.0}, 'must name one metric of each task'),
        ({'pose/mean': 80.0, 'pose/number': 3.0}, 'must name one metric of each task'),
        ({'pose/mean': 80.0, 'normals/mean': 1.0}, 'must name one metric'),
        ({'pose/mean': 0.0, 'depth/mean': 1.0}, "'pose/mean' is 0.0"),
        ({'pose/mean': -8.0, 'depth/mean': 1.0}, "'pose/mean' is -8.0.*a number above 0"),
        ({'pose/mean': math.inf, 'depth/mean': 1.0}, "'pose/mean' is inf"),
        ({'pose/mean': None, 'depth/mean': 1.0}, "'pose/mean' is None"),
        ({'pose/mean': math.nan, 'depth/mean': 1.0}, "'pose/mean' is nan"),
        ({'pose/mean': dict(lower_is_better=True), 'depth/mean': 1.0}, "'pose/mean' is None"),
        ({'pose/mean': '80', 'depth/mean': 1.0}, "'pose/mean' is '80'"),
    ],
)
def test_references_that_do_not_fit(references: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator(references)


@pytest.mark.parametrize(
    ('reference', 'message'),
    [
        (70.0, r"references\['pose/mean'\]: whether a lower or a higher value .* is not known"),
        (
            dict(value=70.0, lower_is_betterr=True),
            r"no key 'lower_is_betterr'.*'lower_is_better'\?",
        ),
        (dict(value=70.0, lower_is_better='yes'), r'lower_is_better must be True or False'),
    ],
)
def test_a_direction_that_is_not_said(reference: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluator({'depth/mean': higher(2), 'pose/mean': reference})


def test_a_direction_that_the_class_contradicts() -> None:
    references = {'depth/rmse': dict(value=1.0, lower_is_better=False)}
    with pytest.raises(ConfigError, match=r'a lower value of .* is better, but the config'):
        summed_up(dict(depth=dict(rmse=1.0)), references)


def test_a_task_of_which_nothing_is_measured() -> None:
    """As mmdet's metrics of a network that detects nothing."""
    references = {'box/mAP': 40.0, 'depth/rmse': 0.5}
    metrics = summed_up(dict(box={}, depth=dict(rmse=0.5)), references)
    assert (metrics['box/mAP'], metrics['delta_m']) == (0.0, -50)
    metrics = summed_up(dict(box=dict(mAP=40.0), depth={}), references)
    assert math.isnan(metrics['depth/rmse']) and math.isnan(metrics['delta_m'])


def test_a_metric_that_no_evaluator_gives() -> None:
    with pytest.raises(ConfigError, match=r"\['pose/median'\].*pose/mean"):
        measured({'depth/mean': higher(2), 'pose/median': higher(70)})


def test_a_batch_without_its_task() -> None:
    with pytest.raises(ValueError, match='needs the batch'):
        evaluator().process([dict(value=1.0)])
