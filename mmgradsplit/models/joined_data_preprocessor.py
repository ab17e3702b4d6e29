"""One batch of samples of several toolboxes' data sets."""

from typing import Any

from mmdet.models.utils.misc import samplelist_boxtype2tensor
from mmengine.structures import PixelData
from mmseg.models import SegDataPreProcessor

from mmgradsplit.registry import MODELS


@MODELS.register_module()
class JoinedDataPreprocessor(SegDataPreProcessor):
    """mmseg's ``SegDataPreProcessor`` for samples as the data sets of mmseg and of mmdet pack them.

    Images get padding to the right and below, to one size. Labels are ignored there, and a
    :class:`RegressionHead` does not train on it; for a detector it is background. Boxes become
    tensors, and label maps that mmdet has packed are padded as those of mmseg.

    Args: those of mmseg's ``SegDataPreProcessor``, such as ``size``.
    """

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Normalise the images, and pad images and maps.

        Args:
            data: Images ``inputs``, ``[3 x h x w]`` each, and their ``data_samples``.
            training: Whether to pad to the size of training rather than ``test_cfg``.

        Returns:
            ``inputs``, shape [N x 3 x H x W], and ``data_samples``.
        """
        samples = data.get('data_samples')
        if samples is not None:
            samplelist_boxtype2tensor(samples)
            for sample in samples:
                if 'gt_sem_seg' in sample and 'sem_seg' in sample.gt_sem_seg:
                    labels = PixelData(data=sample.gt_sem_seg.sem_seg.long())
                    sample.set_data(dict(gt_sem_seg=labels))
        data = super().forward(data, training)
        shape = tuple(data['inputs'].shape[2:])
        for sample in data['data_samples'] or ():
            # Anchors cover the whole input; mmseg names the shape of a map, if there is one.
            sample.set_metainfo(dict(batch_input_shape=shape, pad_shape=shape))
        return data
