"""The evaluator of all tasks: who gets which batch, names, and delta_m."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from mmengine.evaluator import BaseMetric, Evaluator

from mmgradsplit.evaluation import MultiTaskEvaluator


class Mean(BaseMetric):
    """The mean of what it is given, and how much that was."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        self.results += [sample['value'] for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'mean': sum(results) / len(results), 'number': len(results)}


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
        {'depth/mean': dict(value=2.5, lower_is_better=True), 'pose/mean': dict(value=80)}
    )
    assert metrics['delta_m'] == pytest.approx((20 - 12.5) / 2)
    assert measured({'depth/mean': 2.0, 'pose/mean': 70.0})['delta_m'] == 0


@pytest.mark.parametrize(
    ('references', 'message'),
    [
        ({'pose/mean': 80.0}, 'must name one metric of each task'),
        ({'pose/mean': 80.0, 'pose/number': 3.0, 'depth/mean': 1.0}, 'must name one metric'),
        ({'pose/mean': 80.0, 'normals/mean': 1.0}, 'must name one metric'),
        ({'pose/mean': 0.0, 'depth/mean': 1.0}, "'pose/mean' is 0.0"),
        ({'pose/mean': None, 'depth/mean': 1.0}, "'pose/mean' is None"),
        ({'pose/mean': math.nan, 'depth/mean': 1.0}, "'pose/mean' is nan"),
        ({'pose/mean': dict(lower_is_better=True), 'depth/mean': 1.0}, "'pose/mean' is None"),
        ({'pose/mean': '80', 'depth/mean': 1.0}, "'pose/mean' is 80"),
    ],
)
def test_references_that_do_not_fit(references: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluator(references)


def test_a_metric_that_no_evaluator_gives() -> None:
    with pytest.raises(KeyError, match=r"\['pose/median'\].*pose/mean"):
        measured({'depth/mean': 2.0, 'pose/median': 70.0})


def test_a_batch_without_its_task() -> None:
    with pytest.raises(ValueError, match='needs the batch'):
        evaluator().process([dict(value=1.0)])
