"""PA-100K, pedestrian attributes, read from its own files."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmpretrain.datasets import MultiLabelDataset

from mmgradsplit.registry import DATASETS

from .files import read_mat

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class PA100K(MultiLabelDataset):
    """PA-100K (Liu et al. 2017, "HydraPlus-Net"): images with 26 binary attributes.

    The folder as published, whose MATLAB file may be of any version, and have -1 for no::

        data_root/
        ├── annotation/annotation.mat        # {train,val,test}_images_name, {train,val,test}_label
        └── release_data/release_data/000001.jpg, ...

    Each sample has ``img_path`` and ``gt_label``, the indices of the attributes that it shows.
    ``metainfo['exclusive']`` has groups of attributes of which a person has at most one: of each, a
    panel names the likeliest alone.

    Args:
        data_root: The folder.
        split: ``'train'``, ``'val'`` or ``'test'``.
        ann_file: The MATLAB file, relative to ``data_root`` or absolute.
        data_prefix: The folder of the images, relative to ``data_root`` or absolute.
        **kwargs: Other arguments of mmpretrain's ``BaseDataset``: ``pipeline``, ``metainfo``, ...

    Raises:
        FileNotFoundError: If the MATLAB file or the folder of the images is missing.
        ValueError: If ``split`` is none of the three, or the MATLAB file is not as described.
    """

    METAINFO: ClassVar[dict] = {
        'classes': (
            'Female', 'AgeOver60', 'Age18-60', 'AgeLess18', 'Front', 'Side', 'Back',
            'Hat', 'Glasses', 'HandBag', 'ShoulderBag', 'Backpack', 'HoldObjectsInFront',
            'ShortSleeve', 'LongSleeve', 'UpperStride', 'UpperLogo', 'UpperPlaid', 'UpperSplice',
            'LowerStripe', 'LowerPattern', 'LongCoat', 'Trousers', 'Shorts', 'Skirt&Dress', 'boots',
        ),
        'exclusive': (
            ('AgeOver60', 'Age18-60', 'AgeLess18'), ('Front', 'Side', 'Back'),
            ('ShortSleeve', 'LongSleeve'), ('Trousers', 'Shorts', 'Skirt&Dress'),
        ),
    }  # fmt: skip

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        ann_file: str = 'annotation/annotation.mat',
        data_prefix: str | dict = 'release_data/release_data',
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'PA100K: split must be one of {SPLITS}, not {split!r}.')
        self.split = split
        kwargs.setdefault('test_mode', split != 'train')
        super().__init__(ann_file=ann_file, data_root=data_root, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the split's image names and labels."""
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'PA100K: no annotation file {self.ann_file}: set data_root to the folder that '
                'holds annotation/annotation.mat, or ann_file to the file.'
            )
        images = Path(self.img_prefix)
        if not images.is_dir():
            raise FileNotFoundError(
                f'PA100K: no folder of images {images}: set data_root to the folder that holds '
                'release_data/release_data, or data_prefix to the images.'
            )
        names, labels = self._read_annotation()
        return [
            dict(img_path=str(images / name), gt_label=np.flatnonzero(row).tolist())
            for name, row in zip(names, labels, strict=True)
        ]

    def _read_annotation(self) -> tuple[list[str], np.ndarray]:
        """Return the N image names and the labels, ``[N, number of attributes]`` of booleans."""
        keys = (f'{self.split}_images_name', f'{self.split}_label')
        content = read_mat(self.ann_file, keys)
        missing = [key for key in keys if key not in content]
        if missing:
            raise ValueError(
                f'PA100K: {self.ann_file} has no variable {", ".join(missing)}: is it '
                "PA-100K's annotation.mat?"
            )
        # A MATLAB cell of strings arrives as an object array, [N, 1], of arrays of one string.
        names = [str(np.squeeze(cell)) for cell in content[keys[0]].ravel()]
        labels = content[keys[1]]
        expected = (len(names), len(self.metainfo['classes']))
        if labels.shape != expected:
            raise ValueError(
                f'PA100K: {keys[1]} in {self.ann_file} has the shape {labels.shape}, not '
                f'{expected} (images x attributes): for other attributes, set metainfo.classes.'
            )
        values = set(np.unique(labels).tolist())
        if not (values <= {0, 1} or values <= {-1, 1}):
            raise ValueError(
                f'PA100K: {keys[1]} in {self.ann_file} holds {sorted(values)[:10]}, where 0 is no '
                f'and 1 is yes (or -1 is no and 1 is yes).'
            )
        return names, labels > 0
