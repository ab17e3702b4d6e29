"""Images and dense annotations from image files and NumPy arrays."""

import os.path as osp
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from numpy.typing import NDArray

from mmgradsplit.datasets.files import ARRAY, read_array, read_labels
from mmgradsplit.registry import TRANSFORMS
from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import IMPLAUSIBLE

from .encodings import disparities, distances, unit_normals

IGNORED = 255
UNLABELLED = -1


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which also reads arrays.

    An array is ``[H x W x 3]``, RGB: ``uint8``, or floating point from 0 to 1. It becomes what mmcv
    makes of an image file, BGR from 0 to 255.
    """

    def transform(self, results: dict) -> dict | None:
        """Load ``img`` from ``img_path``.

        Raises:
            SampleError: If an array is no picture.
        """
        path = results['img_path']
        if not path.endswith(ARRAY):
            return super().transform(results)
        image = read_array(path, self.backend_args)
        if image.ndim != 3 or image.shape[2] != 3:
            raise SampleError(f'a picture is [H x W x 3], got {image.shape}', path)
        if image.dtype != np.uint8:
            if not (image.min() >= 0 and image.max() <= 1):
                raise SampleError(
                    f'{image.dtype} pictures have values from 0 to 1, but these are from '
                    f'{image.min()} to {image.max()}',
                    path,
                )
            image = np.rint(image * 255).astype(np.uint8)
        image = np.ascontiguousarray(image[..., ::-1])
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class FindLabelMap(BaseTransform):
    """Names the label map of an image that another toolbox's data set lists, where there is one.

    It goes before a loading of annotations that reads ``seg_map_path``, such as mmdet's with
    ``with_seg=True``. An image without a file gets no label map.

    Added keys: ``seg_map_path``, where the file is there.

    Args:
        folder: Folder of the label maps, as seen from that of the image, such as
            ``'../SegmentationClass'``.
        suffix: How their names end; otherwise they are those of the images.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, folder: str, suffix: str = '.png', backend_args: dict | None = None) -> None:
        self.folder = folder
        self.suffix = suffix
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Look for the file.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        place, name = osp.split(results['img_path'])
        folder = osp.normpath(osp.join(place, self.folder))
        path = osp.join(folder, osp.splitext(name)[0] + self.suffix)
        if fileio.exists(path, self.backend_args):
            results['seg_map_path'] = path
        elif not fileio.isdir(folder, self.backend_args):
            raise FileNotFoundError(
                f"FindLabelMap.folder: no folder '{folder}'; put the label maps there, or set the "
                f'key in the pipeline'
            )
        return results


@TRANSFORMS.register_module()
class LoadDenseAnnotations(BaseTransform):
    """Every dense annotation that a sample has, from image files or arrays.

    Where a map of numbers was not measured it is NaN: where the file has NaN or infinity, a depth
    of 0 or less, a disparity stored as 0, or a normal without length.

    Normals in an image, or in another file of 8 or 16 bits without a sign, are taken as they are
    usually written there: n = 2 v / 255 - 1. Grey, black and white pixels are no normals then. The
    numbers of a label map that is a palette image are the indices of the palette.

    Added keys, as far as the sample has them: ``gt_seg_map``, uint8 ``[H x W]``, 255 ignored;
    ``gt_depth_map`` and ``gt_disparity_map``, float32 ``[H x W]``; ``gt_normal_map``, float32
    ``[H x W x 3]``, of length 1.

    Args:
        depth_factor: What the file's depths are multiplied by, 0.001 for millimetres. Files of
            whole numbers need it; without it a file of floating point is in metres.
        disparity_factor: What the file's disparities are multiplied by. Files of whole numbers need
            it.
        disparity_offset: What is added to the file's disparities first. Cityscapes stores a
            disparity of d pixels as 256 d + 1: offset -1, factor 1 / 256.
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(
        self,
        depth_factor: float | None = None,
        disparity_factor: float | None = None,
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
            SampleError: If a file cannot be read, a map has another form than its kind has, or its
                numbers need a factor.
        """
        readers = dict(
            seg=self._segmentation,
            depth=self._depth,
            disparity=self._disparity,
            normal=self._normal,
        )
        for kind, reader in readers.items():
            path = results.get(f'{kind}_map_path')
            if path is None:
                continue
            field = f'gt_{kind}_map'
            try:
                results[field] = reader(path, results)
            except SampleError as error:
                error.field = field
                raise
            results['seg_fields'].append(field)
        return results

    def _segmentation(self, path: str, results: dict) -> NDArray[np.uint8]:
        return class_numbers(read_labels(path, self.backend_args), path, results)

    def _depth(self, path: str, results: dict) -> NDArray[np.float32]:
        return distances(self._read(path, 'depth', 1)[..., 0], path, self.depth_factor)

    def _disparity(self, path: str, results: dict) -> NDArray[np.float32]:
        stored = self._read(path, 'disparity', 1)[..., 0]
        return disparities(stored, path, self.disparity_factor, self.disparity_offset)

    def _normal(self, path: str, results: dict) -> NDArray[np.float32]:
        return unit_normals(self._read(path, 'normal', 3), path)

    def _read(self, path: str, kind: str, channels: int) -> NDArray[Any]:
        raw = read_array(path, self.backend_args)
        if raw.ndim == 2:
            raw = raw[..., None]
        if raw.ndim != 3 or raw.shape[2] != channels:
            raise SampleError(
                f'a {kind} map has {channels} values a pixel, but the file has the shape '
                f'{raw.shape}',
                path,
            )
        return raw


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """The label map of a sample, as mmseg's ``LoadAnnotations`` reads it where it is in order.

    mmseg's lets a number above 255 become another class, and does not say which file is broken.
    ``CheckedPipeline`` puts this one in its place.

    Added key: ``gt_seg_map``, uint8 ``[H x W]``, 255 ignored.

    Args:
        backend_args: Arguments of mmengine's file backend.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Load it from ``seg_map_path``, and name it in ``seg_fields``.

        Raises:
            SampleError: If the file cannot be read, or a number is none of a class.
        """
        path = results['seg_map_path']
        results['gt_seg_map'] = class_numbers(read_labels(path, self.backend_args), path, results)
        results['seg_fields'].append('gt_seg_map')
        return results


def class_numbers(labels: NDArray[Any], path: str, results: dict) -> NDArray[np.uint8]:
    """The classes of a label map, 255 ignored.

    Args:
        labels: shape [H x W], as they are in the file; -1 is not labelled.
        path: The file, for messages.
        results: ``label_map``, from numbers of the file to classes, and ``reduce_zero_label``,
            whether 0 is ignored and 1 is the first class; as far as they are given.

    Raises:
        SampleError: If a number is below -1, above 255, or no whole number.
    """
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if labels.dtype != np.uint8:
        wrong = ~((labels >= UNLABELLED) & (labels <= IGNORED)) | (labels != np.rint(labels))
        if wrong.any():
            raise SampleError(
                f'the label map has a pixel of {labels[wrong][0]}; a pixel is the number of a '
                f'class from 0 to 254, or not labelled, as 255 (in arrays also {UNLABELLED})',
                path,
                'gt_seg_map',
                IMPLAUSIBLE,
            )
        labels = np.where(labels == UNLABELLED, IGNORED, labels).astype(np.uint8)
    reduced, mapping = results.get('reduce_zero_label'), results.get('label_map')
    if not reduced and not mapping:
        # A file's array may be read-only, which transforms that change it would stumble over.
        return labels if labels.flags.writeable else labels.copy()
    table: NDArray[Any] = np.arange(IGNORED + 1)
    if reduced:
        table = np.where((table == 0) | (table == IGNORED), IGNORED, table - 1)
    if mapping:
        table = np.array([mapping.get(int(number), number) for number in table])
    return np.asarray(cv2.LUT(labels, table.astype(np.uint8)), np.uint8)
