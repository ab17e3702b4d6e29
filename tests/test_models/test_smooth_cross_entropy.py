"""Cross-entropy of the segmentation rows, from their configs, against loops over pixels."""

import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmgradsplit.models import SmoothCrossEntropyLoss
from mmgradsplit.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Label smoothing of AMTL's code: cfg/seg+depth+normal/NYU_MT of its repository.
CASES = {
    '_base_/models/dense_r50_aspp.py': 0.0,
    '_base_/models/dense_segnet.py': 0.0,
    'amtl/uniform_r50_deeplabv3_nyuv2.py': 0.1,
    'amtl/uniform_r50_deeplabv3_individual_nyuv2.py': 0.1,
    'amtl/uniform_r50_deeplabv3plus_nyuv2.py': 0.1,
    'amtl/uniform_mobilenetv2_deeplabv3plus_nyuv2.py': 0.0,
    'amtl/uniform_efficientnetv2s_deeplabv3plus_nyuv2.py': 0.0,
}


def by_hand(scores: torch.Tensor, labels: torch.Tensor, smoothing: float) -> float:
    """``-(1 - e) log p_y - e / C sum_c log p_c``, the mean over pixels with a label."""
    losses = []
    for image, truth in zip(scores.tolist(), labels.tolist(), strict=True):
        for y, row in enumerate(truth):
            for x, label in enumerate(row):
                if label == 255:
                    continue
                values = [plane[y][x] for plane in image]
                norm = math.log(sum(math.exp(value) for value in values))
                logs = [value - norm for value in values]
                losses.append(-(1 - smoothing) * logs[label] - smoothing * sum(logs) / len(logs))
    return sum(losses) / len(losses)


@pytest.mark.parametrize('name', CASES)
def test_the_rows_average_over_pixels_with_a_label(name: str) -> None:
    init_default_scope('mmgradsplit')
    cfg = Config.fromfile(CONFIGS / name).model.tasks.seg.decode_head.loss_decode
    loss = MODELS.build(dict(cfg))
    torch.manual_seed(0)
    scores = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    labels = torch.randint(5, (2, 3, 4))
    labels[0, :2] = 255  # one image has a third of the other's labels
    found = loss(scores, labels, weight=None, ignore_index=255)
    assert float(found) == pytest.approx(by_hand(scores, labels, CASES[name]), rel=1e-7)


def test_no_label_at_all() -> None:
    scores = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = SmoothCrossEntropyLoss()(scores, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss == 0 and scores.grad is not None and not scores.grad.any()


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match='label_smoothing must be at least 0 and below 1, got 1'):
        SmoothCrossEntropyLoss(1.0)
    labels = torch.zeros(1, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match='knows no pixel sampler'):
        SmoothCrossEntropyLoss()(torch.zeros(1, 3, 2, 2), labels, weight=torch.ones(1))
