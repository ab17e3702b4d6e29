"""PASCAL VOC's mean average precision in percent."""

from collections.abc import Sequence
from typing import Any, ClassVar

from mmgradsplit.registry import METRICS


@METRICS.register_module()
class PercentVOCMetric:
    """mmdet's ``VOCMetric`` in percent, as the accuracies of other tasks are.

    DTP takes accuracies as percent, and tables of several tasks show one unit. Names and arguments
    are those of mmdet's: ``pascal_voc/mAP``, ``pascal_voc/AP50``.

    Args:
        **kwargs: Arguments of mmdet's ``VOCMetric``.
    """

    lower_is_better: ClassVar[dict[str, bool]] = {'*': False}

    def __init__(self, **kwargs: Any) -> None:
        # Composed by its name, not inherited: importing mmdet's metrics takes a second, which
        # trainings without detection do without.
        self.metric = METRICS.build(dict(kwargs, type='mmdet.VOCMetric'))

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data set."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta

    @property
    def results(self) -> list:
        """What was processed since the latest evaluation."""
        return self.metric.results

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Pass predictions on to mmdet's metric."""
        self.metric.process(data_batch, data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """The metrics of mmdet, from 0 to 100.

        Args:
            size: Number of samples of the data set.
        """
        return {name: 100 * float(value) for name, value in self.metric.evaluate(size).items()}
