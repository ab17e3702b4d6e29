"""VOC's mean average precision in percent, worked out by hand."""

import pytest
import torch
from mmengine.evaluator import Evaluator

from mmgradsplit.evaluation import PercentVOCMetric

BOX = [10.0, 10.0, 50.0, 60.0]
AWAY = [60.0, 10.0, 90.0, 30.0]


def sample(box: list[float], score: float) -> dict:
    """An image with an object at BOX, and a detection."""
    nothing = dict(bboxes=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.long))
    label = torch.zeros(1, dtype=torch.long)
    return dict(
        gt_instances=dict(bboxes=torch.tensor([BOX]), labels=label),
        ignored_instances=nothing,
        pred_instances=dict(bboxes=torch.tensor([box]), scores=torch.tensor([score]), labels=label),
    )


@pytest.mark.parametrize(
    ('second', 'expected'),
    [
        (BOX, 100.0),
        (AWAY, 100 * 6 / 11),  # precision 1 at the recalls 0, 0.1, ..., 0.5, then 0
    ],
)
def test_eleven_points(second: list[float], expected: float) -> None:
    evaluator = Evaluator(PercentVOCMetric(eval_mode='11points'))
    evaluator.dataset_meta = dict(classes=('dog',), dataset_type=None)
    evaluator.process([sample(BOX, 0.9), sample(second, 0.8)], {})
    metrics = evaluator.evaluate(2)
    assert metrics['pascal_voc/mAP'] == pytest.approx(expected, abs=1e-4)
    assert metrics['pascal_voc/AP50'] == pytest.approx(expected, abs=0.05)  # mmdet rounds it
