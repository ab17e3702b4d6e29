"""Images and dense annotations from image files and NumPy arrays."""

import io
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from numpy.typing import NDArray

from mmgradsplit.registry import TRANSFORMS

ARRAY = '.npy'
IGNORED = 255


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which also reads arrays.

    An array is ``[H x W x 3]``, RGB: ``uint8``, or floating point from 0 to 1. It becomes what mmcv
    makes of an image file, BGR from 0 to 255.
    """

    def transform(self, results: dict) -> dict | None:
        """Load ``img`` from ``img_path``.

        Raises:
            ValueError: If an array is no picture.
        """
        path = results['img_path']
        if not path.endswith(ARRAY):
            return super().transform(results)
        image = _read(path, self.backend_args)
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f'{path}: a picture is [H x W x 3], got {image.shape}')
        if image.dtype != np.uint8:
            if not (image.min() >= 0 and image.max() <= 1):
                raise ValueError(
                    f'{path}: {image.dtype} pictures have values from 0 to 1, but these are from '
                    f'{image.min()} to {image.max()}'
                )
            image = np.rint(image * 255).astype(np.uint8)
        image = np.ascontiguousarray(image[..., ::-1])
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadDenseAnnotations(BaseTransform):
    """Every dense annotation that a sample has, from image files or arrays.

    Where a map of numbers was not measured it is NaN: where the file has NaN or infinity, a depth
    of 0 or less, a disparity stored as 0, or a normal without length.

    Added keys, as far as the sample has them: ``gt_seg_map``, uint8 ``[H x W]``, 255 ignored;
    ``gt_depth_map`` and ``gt_disparity_map``, float32 ``[H x W]``; ``gt_normal_map``, float32
    ``[H x W x 3]``, of length 1.

    Args:
        depth_factor: What the file's depths are multiplied by, 0.001 for millimetres.
        disparity_factor: What the file's disparities are multiplied by.
        disparity_offset: What is added to the file's disparities first. Cityscapes stores a
            disparity of d pixels as 256 d + 1: offset -1, factor 1 / 256.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(
        self,
        depth_factor: float = 1.0,
        disparity_factor: float = 1.0,
        disparity_offset: float = 0.0,
        backend_args: dict | None = None,
    ) -> None:
        self.depth_factor = depth_factor
        self.disparity_factor = disparity_factor
        self.disparity_offset = disparity_offset
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load them, and name them in ``seg_fields``, whose geometry follows the image's.

        Raises:
            ValueError: If a map has another form than its kind has.
        """
        readers = dict(
            seg=self._segmentation, depth=self._depth, disparity=self._disparity, normal=_normal
        )
        for kind, reader in readers.items():
            path = results.get(f'{kind}_map_path')
            if path is None:
                continue
            raw = _read(path, self.backend_args)
            channels = 3 if kind == 'normal' else 1
            if raw.ndim == 2:
                raw = raw[..., None]
            if raw.ndim != 3 or raw.shape[2] != channels:
                raise ValueError(
                    f'{path}: a {kind} map has {channels} values a pixel, but the file has the '
                    f'shape {raw.shape}'
                )
            results[f'gt_{kind}_map'] = reader(raw, results)
            results['seg_fields'].append(f'gt_{kind}_map')
        return results

    def _segmentation(self, raw: NDArray, results: dict) -> NDArray[np.uint8]:
        labels = raw[..., 0]
        if labels.dtype != np.uint8:
            labels = np.rint(labels).astype(np.int64)
            labels[(labels < 0) | (labels > IGNORED)] = IGNORED
            labels = labels.astype(np.uint8)
        table: NDArray = np.arange(IGNORED + 1)
        for old, new in (results.get('label_map') or {}).items():
            table[old] = new
        if results.get('reduce_zero_label'):
            table = np.where((table == 0) | (table == IGNORED), IGNORED, table - 1)
        return np.asarray(cv2.LUT(labels, table.astype(np.uint8)), np.uint8)

    def _depth(self, raw: NDArray, results: dict) -> NDArray[np.float32]:
        depth = raw[..., 0].astype(np.float32) * np.float32(self.depth_factor)
        return _where(depth > 0, depth)

    def _disparity(self, raw: NDArray, results: dict) -> NDArray[np.float32]:
        stored = raw[..., 0].astype(np.float32)
        disparity = (stored + self.disparity_offset) * self.disparity_factor
        return _where(stored > 0, disparity.astype(np.float32))


def _normal(raw: NDArray, results: dict) -> NDArray[np.float32]:
    normal = raw.astype(np.float32)
    x, y, z = (normal[..., i] for i in range(3))
    length = np.sqrt(x * x + y * y + z * z)
    # Whatever is not finite makes the length so.
    length[~((length > 0.1) & (length < np.inf))] = np.nan
    return normal / length[..., None]


def _where(measured: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values that were measured and are finite, NaN elsewhere."""
    return np.where(measured & np.isfinite(values), values, np.float32(np.nan))


def _read(path: str, backend_args: dict | None) -> NDArray[Any]:
    content = fileio.get(path, backend_args)
    if path.endswith(ARRAY):
        return np.load(io.BytesIO(content), allow_pickle=False)
    # 16 bits stay 16 bits; colours are RGB.
    image = mmcv.imfrombytes(content, flag='unchanged', backend='cv2')
    if image is None:
        raise ValueError(f'{path}: cannot be read as an image')
    return image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)
