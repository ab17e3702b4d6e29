"""Images with several dense annotations each: segmentation, depth, disparity, surface normals."""

import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import mmengine
from mmengine import fileio
from mmseg.datasets import BaseSegDataset, CityscapesDataset

from mmgradsplit.registry import DATASETS
from mmgradsplit.utils.nyuv2_classes import NYUV2_13, NYUV2_40

IMAGE = 'img_path'
SEGMENTATION = 'seg_map_path'


@DATASETS.register_module()
class MultiAnnotationDataset(BaseSegDataset):
    """Images and their annotations in folders beside each other, under the same names.

    An annotation that has no file is left out of the sample, which joint training then never
    allocates to the task (``train_cfg.annotations``).

    Args:
        data_prefix: Folder of the images, ``img_path``, and of each annotation: ``seg_map_path``,
            ``depth_map_path``, ``disparity_map_path``, ``normal_map_path``.
        suffixes: How the file names of each of them end.
        ann_file: Text file with the names, one a line; by default, all images of the folder.
        **kwargs: Other arguments of mmseg's ``BaseSegDataset``.

    Raises:
        ValueError: If the keys of data_prefix and suffixes differ.
        FileNotFoundError: If a folder, the list, or every file of an annotation is missing.

    Example:
        >>> MultiAnnotationDataset(
        ...     data_root='data/scenes', ann_file='gt_sets/train.txt',
        ...     data_prefix=dict(img_path='images', depth_map_path='depth'),
        ...     suffixes=dict(img_path='.jpg', depth_map_path='.npy'))
    """

    def __init__(
        self,
        data_prefix: Mapping[str, str],
        suffixes: Mapping[str, str],
        ann_file: str = '',
        **kwargs: Any,
    ) -> None:
        if set(data_prefix) != set(suffixes) or IMAGE not in data_prefix:
            raise ValueError(
                f'dataset.data_prefix and dataset.suffixes must have the same keys, '
                f"'{IMAGE}' among them, got {sorted(data_prefix)} and {sorted(suffixes)}"
            )
        self.suffixes = dict(suffixes)
        super().__init__(
            data_prefix=dict(data_prefix),
            img_suffix=suffixes[IMAGE],
            seg_map_suffix=suffixes.get(SEGMENTATION, ''),
            ann_file=ann_file,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Paths of each image and of those annotations that it has."""
        have = {kind: set(self._names(kind)) for kind in self.data_prefix}
        if self.ann_file:
            if not fileio.exists(self.ann_file, self.backend_args):
                raise FileNotFoundError(
                    f"dataset.ann_file: no file '{self.ann_file}'; it lists the names of the images"
                )
            listed = mmengine.list_from_file(self.ann_file, backend_args=self.backend_args)
            names = [name.strip() for name in listed if name.strip()]
        else:
            names = sorted(have[IMAGE])
        missing = [name for name in names if name not in have[IMAGE]]
        if missing:
            raise FileNotFoundError(
                f"dataset.ann_file: '{self.ann_file}' names {len(missing)} images that are not in "
                f"'{self.data_prefix[IMAGE]}', such as '{missing[0]}{self.suffixes[IMAGE]}'"
            )
        for kind, of in have.items():
            if of.isdisjoint(names):
                raise FileNotFoundError(
                    f"dataset.data_prefix.{kind}: '{self.data_prefix[kind]}' has no file "
                    f"'NAME{self.suffixes[kind]}' for any of the {len(names)} images; see "
                    f'docs/data.md for the layout'
                )
        return [
            dict(
                {kind: self._path(kind, name) for kind, of in have.items() if name in of},
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for name in names
        ]

    def _names(self, kind: str) -> Sequence[str]:
        folder, suffix = self.data_prefix[kind], self.suffixes[kind]
        if not fileio.isdir(folder, self.backend_args):
            raise FileNotFoundError(
                f"dataset.data_prefix.{kind}: no folder '{folder}'; put the data there (see "
                f'docs/data.md), set dataset.data_root, or leave the annotation out'
            )
        files = fileio.list_dir_or_file(
            folder, list_dir=False, suffix=suffix, recursive=True, backend_args=self.backend_args
        )
        return [file[: -len(suffix)] for file in files]

    def _path(self, kind: str, name: str) -> str:
        return osp.join(self.data_prefix[kind], name + self.suffixes[kind])


@DATASETS.register_module()
class NYUv2(MultiAnnotationDataset):
    """NYUv2 in one of the two forms in which the field passes it on (docs/data.md).

    Args:
        num_classes: 13 or 40.
        **kwargs: Other arguments of :class:`MultiAnnotationDataset`.

    Raises:
        ValueError: If num_classes is neither.
    """

    def __init__(self, num_classes: int = 40, **kwargs: Any) -> None:
        classes = {13: NYUV2_13, 40: NYUV2_40}.get(num_classes)
        if classes is None:
            raise ValueError(f'dataset.num_classes of NYUv2 must be 13 or 40, got {num_classes}')
        super().__init__(metainfo=dict(classes=classes), **kwargs)


@DATASETS.register_module()
class CityscapesScenes(MultiAnnotationDataset):
    """Cityscapes in its own folders: labels by their ids, as they are published, and disparity.

    Args:
        **kwargs: Other arguments of :class:`MultiAnnotationDataset`.
    """

    METAINFO = CityscapesDataset.METAINFO
    # Ids of the 19 classes that are evaluated, in order; others are ignored.
    LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """From label id to class, 255 for those that are ignored."""
        return {i: cls.LABEL_IDS.index(i) if i in cls.LABEL_IDS else 255 for i in range(256)}
