"""PASCAL VOC's mean average precision in percent."""

from mmdet.evaluation import VOCMetric

from mmgradsplit.registry import METRICS


@METRICS.register_module()
class PercentVOCMetric(VOCMetric):
    """mmdet's ``VOCMetric`` in percent, as the accuracies of other tasks are.

    DTP takes accuracies as percent, and tables of several tasks show one unit. Names and arguments
    are those of mmdet's: ``pascal_voc/mAP``, ``pascal_voc/AP50``.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics of mmdet, from 0 to 100."""
        return {
            name: 100 * float(value) for name, value in super().compute_metrics(results).items()
        }
