"""The metric of attribute recognition: mean accuracy, and four scores by instance."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmgradsplit.registry import METRICS

UNKNOWN = -1


@METRICS.register_module()
class AttributeMetric(BaseMetric):
    r"""``MA``, ``accuracy``, ``precision``, ``recall`` and ``F1``, in percent.

    With Y the attributes that an image has and P those that are predicted (score at or above
    ``thr``):

    - ``MA``, by attribute: the mean over attributes of (true-positive rate + true-negative
      rate)/2 (GradSplit, section 4.1). An attribute that all or none of the images have lacks one
      of the two rates; it is left out of the mean and named in a warning.
    - by instance, the mean over images (Liu et al. 2017, "HydraPlus-Net", section 5): ``accuracy``
      :math:`|Y \cap P| / |Y \cup P|`, ``precision`` :math:`|Y \cap P| / |P|`, ``recall``
      :math:`|Y \cap P| / |Y|`; 0 where the denominator is 0. ``F1`` is the harmonic mean of the
      mean precision and the mean recall.

    An attribute that is not known of an image (-1 in ``gt_score``, as in mmpretrain's own metrics)
    is left out of all scores, so a data set that knows some of the attributes is measured on these
    (Table 6).

    Args:
        thr: Threshold of the scores.
        **kwargs: Other arguments of mmengine's ``BaseMetric``.
    """

    lower_is_better: ClassVar[dict[str, bool]] = {'*': False}

    def __init__(self, thr: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.thr = thr

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predicted and the true attributes of each sample.

        Args:
            data_batch: Not used.
            data_samples: Each with ``pred_score``, ``[A]``, and ``gt_score``, ``[A]`` of 1, 0 and,
                where not known, -1, or ``gt_label``, the indices of the attributes that it has.
        """
        for sample in data_samples:
            predicted = sample['pred_score'].cpu().numpy() >= self.thr
            if 'gt_score' in sample:
                scores = sample['gt_score'].cpu().numpy()
                true = np.where(scores < 0, UNKNOWN, scores > 0.5).astype(np.int8)
            else:
                true = np.zeros(len(predicted), dtype=np.int8)
                true[sample['gt_label'].cpu().numpy()] = 1
            self.results.append((predicted, true))

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Return the five scores of N pairs (predicted, true), ``[A]`` of booleans and 1, 0, -1."""
        predicted = np.stack([r[0] for r in results])
        true = np.stack([r[1] for r in results])
        by_instance = _instance_scores(predicted & (true != UNKNOWN), true == 1)
        scores = dict(MA=self._mean_accuracy(predicted, true), **by_instance)
        return {name: 100 * float(value) for name, value in scores.items()}

    def _mean_accuracy(self, predicted: np.ndarray, true: np.ndarray) -> float:
        positive, negative = true == 1, true == 0
        positives, negatives = positive.sum(0), negative.sum(0)
        both = (positives > 0) & (negatives > 0)
        one_sided = ~both & (positives + negatives > 0)
        if one_sided.any():
            print_log(
                f'AttributeMetric: MA leaves out the attributes {self._names(one_sided)}: all '
                'images have them or none has, so one of their two rates does not exist.',
                logger='current',
                level=logging.WARNING,
            )
        true_positive_rate = (predicted & positive).sum(0)[both] / positives[both]
        true_negative_rate = (~predicted & negative).sum(0)[both] / negatives[both]
        return np.mean((true_positive_rate + true_negative_rate) / 2) if both.any() else np.nan

    def _names(self, chosen: np.ndarray) -> list[str]:
        classes = (self.dataset_meta or {}).get('classes')
        return [str(classes[i] if classes else i) for i in np.flatnonzero(chosen)]


def _instance_scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return the scores by instance, as fractions, of ``[N, A]`` booleans."""
    hits = (predicted & true).sum(1)

    def mean_ratio(denominators: np.ndarray) -> float:
        # hits is 0 wherever a denominator is.
        return (hits / np.maximum(denominators, 1)).mean()

    precision, recall = mean_ratio(predicted.sum(1)), mean_ratio(true.sum(1))
    return dict(
        accuracy=mean_ratio((predicted | true).sum(1)),
        precision=precision,
        recall=recall,
        F1=2 * precision * recall / (precision + recall) if hits.any() else 0.0,
    )
