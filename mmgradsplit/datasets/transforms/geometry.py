"""Random zoom and mirroring of an image and all its dense annotations."""

from typing import Any

import mmcv
from mmcv.transforms import RandomResize
from mmseg.datasets.transforms import RandomFlip

from mmgradsplit.registry import TRANSFORMS

# Which components of a normal change their sign: those along the direction.
MIRRORED = dict(horizontal=[0], vertical=[1], diagonal=[0, 1])


@TRANSFORMS.register_module()
class RandomZoom(RandomResize):
    """mmcv's ``RandomResize`` by mmseg's ``Resize``, which also corrects depth and disparity.

    An image enlarged by a factor s looks as if the camera had come s times as close: depth is
    divided by s, and disparity multiplied by it. Labels and normals stay as they are; all maps are
    resized to the nearest value.

    Args:
        scale: Width and height that mean no zoom.
        ratio_range: Smallest and largest s.
        **kwargs: Other arguments of mmseg's ``Resize``.
    """

    def __init__(
        self, scale: tuple[int, int], ratio_range: tuple[float, float], **kwargs: Any
    ) -> None:
        super().__init__(scale, ratio_range, resize_type='mmseg.Resize', **kwargs)

    def transform(self, results: dict) -> dict:
        """Resize image and maps, and correct depth and disparity."""
        height, width = results['img'].shape[:2]
        base = tuple(self.scale)
        if self.resize_cfg.get('keep_ratio', False):
            base = mmcv.rescale_size((width, height), base)
        results = super().transform(results)
        # By area, as rounding and a free ratio make the sides differ.
        zoom = (results['img'].shape[0] * results['img'].shape[1] / (base[0] * base[1])) ** 0.5
        if 'gt_depth_map' in results:
            results['gt_depth_map'] = results['gt_depth_map'] / zoom
        if 'gt_disparity_map' in results:
            results['gt_disparity_map'] = results['gt_disparity_map'] * zoom
        return results


@TRANSFORMS.register_module()
class RandomMirror(RandomFlip):
    """mmseg's ``RandomFlip``, which mirrors normals as well: their x (y) changes its sign."""

    def _flip(self, results: dict) -> None:
        super()._flip(results)
        if 'gt_normal_map' in results:
            results['gt_normal_map'][..., MIRRORED[results['flip_direction']]] *= -1
