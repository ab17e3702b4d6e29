"""Pictures of single persons for mmpose, in less time than its own transforms need."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mmgradsplit.registry import TRANSFORMS

REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
POINTS = ('bbox', 'bbox_center', 'keypoints')  # numbers in pairs x, y
LENGTHS = ('bbox_scale',)


@TRANSFORMS.register_module()
class LoadReducedImage(LoadImageFromFile):
    """Loads the picture of a person for mmpose's ``TopdownAffine``, reduced where the crop allows.

    JPEG pictures are decoded at a half, a quarter or an eighth of their size, whichever still has
    the pixels of the crop; others are reduced afterwards. All coordinates follow. A crop of a
    person who is larger than the input has its pixels averaged, where ``TopdownAffine`` alone
    picks some of them, so the numbers differ a little.

    It takes the place of ``LoadImage`` in training. Results in the pixels of the original, as a
    validation has them, need the original size.

    Args:
        input_size: Width and height of the crop.
        least_scale: The least factor of the augmentation that follows, ``scale_factor[0]`` of
            ``RandomBBoxTransform``.
        padding: What ``GetBBoxCenterScale`` multiplies the box by.
        **kwargs: Arguments of mmcv's ``LoadImageFromFile``.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        least_scale: float = 0.75,
        padding: float = 1.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_size = tuple(input_size)
        self.least_scale = least_scale
        self.padding = padding

    def transform(self, results: dict) -> dict | None:
        """Load ``img`` from ``img_path``, and reduce the coordinates as it is reduced."""
        factor = self._factor(results)
        if factor == 1:
            return super().transform(results)
        path = results['img_path']
        content = np.frombuffer(fileio.get(path, backend_args=self.backend_args), np.uint8)
        image = cv2.imdecode(content, REDUCED[factor]) if len(content) else None
        if image is None:
            raise ValueError(f'failed to load image: {path}')
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        for key in POINTS:
            if results.get(key) is not None:
                # A pixel's centre has whole coordinates.
                results[key] = _as_floats((results[key] + 0.5) / factor - 0.5)
        for key in LENGTHS:
            if results.get(key) is not None:
                results[key] = _as_floats(results[key] / factor)
        return results

    def _factor(self, results: dict) -> int:
        """By how much the picture can be reduced for the person of these results."""
        lengths = results.get('bbox_scale')
        if lengths is None:
            box = np.asarray(results['bbox'], dtype=float)
            lengths = box[:, 2:4] - box[:, :2]
        wide = np.max(np.asarray(lengths) / self.input_size) * self.padding * self.least_scale
        return next((factor for factor in REDUCED if factor <= wide), 1)


@TRANSFORMS.register_module()
class QuickBBoxTransform(BaseTransform):
    """mmpose's ``RandomBBoxTransform``, with other random numbers of the same distribution.

    mmpose draws them by SciPy's truncated normal distribution, which takes a half of a millisecond
    for the four numbers of a person. The inverse of the distribution takes a hundredth of that.

    Args:
        **kwargs: Arguments of mmpose's ``RandomBBoxTransform``.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.transformation = TRANSFORMS.build(dict(kwargs, type='mmpose.RandomBBoxTransform'))
        self.transformation._truncnorm = truncated_normal

    def transform(self, results: dict) -> dict | None:
        """Shift, scale and turn the box of a person at random."""
        return self.transformation.transform(results)


def truncated_normal(
    low: float = -1.0, high: float = 1.0, size: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Draw from the standard normal distribution between two limits.

    Args:
        low: The lower limit.
        high: The upper limit.
        size: Shape of what is drawn.
    """
    shares = np.random.uniform(ndtr(low), ndtr(high), size)
    return np.asarray(ndtri(shares), dtype=np.float32)


@TRANSFORMS.register_module()
class Straighten(BaseTransform):
    """Gives a mirrored picture memory of its own, before another transform does so slowly.

    The flips of the toolboxes return views that run backwards in memory. Whatever needs them in
    order copies them pixel by pixel, 40 times as slowly as OpenCV mirrors a picture. The pixels are
    the same.
    """

    def transform(self, results: dict) -> dict:
        """Straighten ``img`` where it runs backwards."""
        image = results['img']
        if isinstance(image, np.ndarray) and image.ndim in (2, 3):
            results['img'] = straightened(image)
        return results


def straightened(image: NDArray) -> NDArray:
    """The same picture, shape [H x W] or [H x W x C], running forwards in memory."""
    for axis in (0, 1):
        if image.strides[axis] < 0:
            image = cv2.flip(np.flip(image, axis), axis)
    return image


def _as_floats(values: NDArray) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)
