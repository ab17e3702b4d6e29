"""Market-1501, person re-identification, read from its own files."""

import re
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

from mmgradsplit.registry import DATASETS

# 0002_c1s1_000451_03.jpg: identity 2, camera 1; -1 is junk, 0000 a distractor.
FILE_NAME = re.compile(r'(-1|\d+)_c(\d+)')
IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png'}
FOLDERS = dict(train=('bounding_box_train',), test=('query', 'bounding_box_test'))


@DATASETS.register_module()
class Market1501(BaseDataset):
    """Market-1501 (Zheng et al. 2015): pedestrian boxes of known identity and camera.

    The folder as published::

        data_root/
        ├── bounding_box_train/0002_c1s1_000451_03.jpg, ...
        ├── bounding_box_test/...                              # the gallery
        └── query/...

    Each sample has ``img_path``, ``person_id`` and ``camera_id``, both as in the file name. A
    training sample also has ``gt_label``: the identities in ascending order, numbered from 0. The
    queries come first in the test split, and ``is_query`` tells them from the gallery, where junk
    (-1) and distractors (0) stay, for the metric to judge. ``metainfo['num_identities']`` counts
    the split's identities.

    Args:
        data_root: The folder.
        split: ``'train'`` or ``'test'``.
        **kwargs: Other arguments of mmpretrain's ``BaseDataset``: ``pipeline``, ``indices``, ...

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If ``split`` is neither of the two, a folder has no image, or the name of an
            image has no identity and camera.
    """

    def __init__(self, data_root: str, split: str = 'train', **kwargs: Any) -> None:
        if split not in FOLDERS:
            raise ValueError(f'Market1501: split must be one of {tuple(FOLDERS)}, not {split!r}.')
        self.split = split
        kwargs.setdefault('test_mode', split != 'train')
        kwargs.setdefault('ann_file', '')  # the file names say it all
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the split's file names."""
        data_list = [
            dict(sample, is_query=folder == 'query')
            for folder in FOLDERS[self.split]
            for sample in self._read_folder(Path(self.data_root) / folder)
        ]
        identities = sorted({s['person_id'] for s in data_list if s['person_id'] > 0})
        self._metainfo['num_identities'] = len(identities)
        if self.split == 'test':
            return data_list
        label = {person_id: i for i, person_id in enumerate(identities)}
        return [
            dict(sample, gt_label=label[sample['person_id']])
            for sample in data_list
            if sample['person_id'] in label
        ]

    def get_person_ids(self) -> list[int]:
        """Return the identity of each sample, as the random-identity sampler reads it."""
        return [self.get_data_info(i)['person_id'] for i in range(len(self))]

    @staticmethod
    def _read_folder(folder: Path) -> list[dict]:
        if not folder.is_dir():
            raise FileNotFoundError(
                f'Market1501: no folder {folder}: set data_root to the folder that holds '
                'bounding_box_train, bounding_box_test and query.'
            )
        samples = []
        for path in sorted(folder.iterdir()):
            # The published folders hold a Thumbs.db; macOS adds ._NAME.jpg beside NAME.jpg.
            if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith('.'):
                continue
            match = FILE_NAME.match(path.name)
            if match is None:
                raise ValueError(
                    f'Market1501: the name of {path} does not start with an identity and a camera, '
                    'like 0002_c1s1: remove or rename the file.'
                )
            samples.append(
                dict(img_path=str(path), person_id=int(match[1]), camera_id=int(match[2]))
            )
        if not samples:
            raise ValueError(f'Market1501: no image in {folder}.')
        return samples
