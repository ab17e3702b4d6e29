"""Packs an image with its dense annotations."""

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmgradsplit.registry import TRANSFORMS

# What mmseg packs itself.
PACKED = ('gt_seg_map', 'gt_edge_map', 'gt_depth_map')


@TRANSFORMS.register_module()
class PackDenseInputs(PackSegInputs):
    """mmseg's ``PackSegInputs``, which also packs every other map that ``seg_fields`` names.

    The data sample has, as far as the results have it, ``gt_sem_seg`` ``[1 x H x W]``,
    ``gt_depth_map`` ``[1 x H x W]``, ``gt_disparity_map`` ``[1 x H x W]``, ``gt_normal_map``
    ``[3 x H x W]``, and maps of a user's own: ``[1 x H x W]``, or ``[C x H x W]`` where the results
    have ``[H x W x C]``.
    """

    def transform(self, results: dict) -> dict:
        """Pack image, annotations and meta information."""
        packed = super().transform(results)
        for field in results.get('seg_fields', ()):
            if field not in PACKED:
                values = results[field]
                values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
                data = torch.from_numpy(np.ascontiguousarray(values))
                packed['data_samples'].set_data({field: PixelData(data=data)})
        return packed
