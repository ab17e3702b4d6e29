"""The attribute metric against counts by hand and against loops over images and attributes."""

import logging

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from mmgradsplit.evaluation.attribute_metric import AttributeMetric


def evaluate(scores, truth, as_labels: bool = True, **kwargs) -> dict[str, float]:
    evaluator = Evaluator(AttributeMetric(**kwargs))
    for score, true in zip(scores, truth, strict=True):
        sample = DataSample().set_pred_score(torch.tensor(score, dtype=torch.float))
        if as_labels:
            sample.set_gt_label(np.flatnonzero(true))
        else:
            sample.set_gt_score(np.asarray(true))
        evaluator.process([sample], None)
    return evaluator.evaluate(len(scores))


def test_by_hand():
    truth = [[1, 0, 1], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
    scores = [[0.9, 0.1, 0.2], [0.9, 0.5, 0.1], [0.8, 0.9, 0.1], [0.1, 0.2, 0.3]]
    found = evaluate(scores, truth)
    # Attribute 0: TPR 2/2, TNR 1/2. Attribute 1: 2/2, 2/2. Attribute 2: 0/2, 2/2.
    assert found['MA'] == pytest.approx(100 * (0.75 + 1 + 0.5) / 3)
    # Images, hits/union: 1/2, 2/2, 1/2, 0/1; hits/predicted: 1/1, 2/2, 1/2, 0/0;
    # hits/true: 1/2, 2/2, 1/1, 0/1.
    assert found['accuracy'] == pytest.approx(50)
    assert found['precision'] == pytest.approx(62.5)
    assert found['recall'] == pytest.approx(62.5)
    assert found['F1'] == pytest.approx(62.5)


@pytest.mark.parametrize('as_labels', [True, False])
def test_equals_loops_over_images_and_attributes(as_labels):
    rng = np.random.default_rng(0)
    truth = rng.random((60, 7)) < 0.4
    scores = rng.random((60, 7)).astype(np.float32)
    thr = 0.6
    balanced = []
    for a in range(7):
        yes = [scores[i, a] >= thr for i in range(60) if truth[i, a]]
        no = [scores[i, a] < thr for i in range(60) if not truth[i, a]]
        balanced.append((sum(yes) / len(yes) + sum(no) / len(no)) / 2)
    accuracy, precision, recall = [], [], []
    for i in range(60):
        p = {a for a in range(7) if scores[i, a] >= thr}
        y = {a for a in range(7) if truth[i, a]}
        accuracy.append(len(p & y) / len(p | y) if p | y else 0)
        precision.append(len(p & y) / len(p) if p else 0)
        recall.append(len(p & y) / len(y) if y else 0)
    p, r = np.mean(precision), np.mean(recall)
    assert evaluate(scores, truth, as_labels, thr=thr) == pytest.approx(
        {
            'MA': 100 * np.mean(balanced),
            'accuracy': 100 * np.mean(accuracy),
            'precision': 100 * p,
            'recall': 100 * r,
            'F1': 200 * p * r / (p + r),
        }
    )


def test_chance_is_fifty_and_truth_is_a_hundred():
    truth = np.random.default_rng(0).random((50, 5)) < 0.3
    truth[:, 0] |= ~truth.any(1)
    assert evaluate(np.zeros((50, 5)), truth)['MA'] == pytest.approx(50)
    assert evaluate(np.ones((50, 5)), truth)['MA'] == pytest.approx(50)
    assert evaluate(truth.astype(float), truth) == pytest.approx(
        dict.fromkeys(('MA', 'accuracy', 'precision', 'recall', 'F1'), 100)
    )


def test_attribute_without_positives_or_negatives_is_left_out_and_named(monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmgradsplit.evaluation.attribute_metric.print_log',
        lambda message, level, **_: messages.append((message, level)),
    )
    truth = [[1, 0, 1], [0, 0, 1]]
    evaluator = Evaluator(AttributeMetric())
    evaluator.dataset_meta = dict(classes=('Hat', 'Boots', 'Front'))
    for true in truth:
        sample = (
            DataSample()
            .set_pred_score(torch.tensor([0.9, 0.9, 0.9]))
            .set_gt_score(np.asarray(true))
        )
        evaluator.process([sample], None)
    assert evaluator.evaluate(2)['MA'] == pytest.approx(50)  # of 'Hat' alone: (1 + 0)/2
    assert len(messages) == 1 and "['Boots', 'Front']" in messages[0][0]
    assert messages[0][1] == logging.WARNING


def test_no_attribute_to_measure_is_nan_and_nothing_right_is_zero():
    found = evaluate([[0.9, 0.1]], [[0, 1]])
    assert np.isnan(found.pop('MA'))
    assert found == dict.fromkeys(('accuracy', 'precision', 'recall', 'F1'), 0)


def test_what_is_not_known_counts_nowhere():
    """An attribute that no image knows, and one that some images do not: as if left out."""
    rng = np.random.default_rng(1)
    truth = (rng.random((40, 4)) < 0.4).astype(float)
    scores = rng.random((40, 4))
    whole = truth.copy()
    truth[:, 2] = -1
    found = evaluate(scores, truth, as_labels=False)
    kept = [0, 1, 3]
    assert found == pytest.approx(evaluate(scores[:, kept], whole[:, kept], as_labels=False))

    truth[:15, 0] = -1
    rates = []
    for a, known in ((0, range(15, 40)), (1, range(40)), (3, range(40))):
        yes = [scores[i, a] >= 0.5 for i in known if truth[i, a] == 1]
        no = [scores[i, a] < 0.5 for i in known if truth[i, a] == 0]
        rates.append((np.mean(yes) + np.mean(no)) / 2)
    assert evaluate(scores, truth, as_labels=False)['MA'] == pytest.approx(100 * np.mean(rates))


def test_unknown_attributes_are_no_reason_to_warn(monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmgradsplit.evaluation.attribute_metric.print_log',
        lambda message, **_: messages.append(message),
    )
    evaluate([[0.9, 0.1], [0.1, 0.1]], [[1.0, -1.0], [0.0, -1.0]], as_labels=False)
    assert messages == []
