"""The segmentor of depth, disparity and surface normals."""

from mmengine.structures import PixelData
from mmseg.models.segmentors import DepthEstimator
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional

from mmgradsplit.registry import MODELS

NORMALS = 'gt_normal_map'


@MODELS.register_module()
class DenseRegressor(DepthEstimator):
    """mmseg's ``DepthEstimator`` for whatever its :class:`RegressionHead` predicts.

    The prediction of ``gt_NAME`` is ``pred_NAME`` of the data sample, ``[K x H x W]`` at the size
    of the original image. Normals, of ``gt_normal_map``, get the length 1.

    Args: those of mmseg's ``DepthEstimator``; ``decode_head`` is a :class:`RegressionHead`.
    """

    def postprocess_result(
        self, values: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Predictions in the data samples.

        Args:
            values: shape [N x K x H x W], at the size of the network's input.
            data_samples: The N samples, or None for new ones.
        """
        samples = super().postprocess_result(values, data_samples)
        field = self.decode_head.field
        for sample in samples:
            data = sample.pop('pred_depth_map').data
            if field == NORMALS:
                data = functional.normalize(data, dim=0)
            sample.set_data({field.replace('gt_', 'pred_', 1): PixelData(data=data)})
        return samples
