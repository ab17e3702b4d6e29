"""The data set behind :func:`~mmgradsplit.datasets.MPII`; importing it imports mmpose."""

from pathlib import Path
from typing import Any

import numpy as np
from mmpose.datasets import MpiiDataset

from .head_boxes import head_sizes


class MPIIPeople(MpiiDataset):
    """mmpose's ``MpiiDataset`` with the head boxes of its people.

    Args:
        headbox_file: As for :func:`~mmgradsplit.datasets.MPII`.
        **kwargs: Other arguments of mmpose's ``MpiiDataset``.
    """

    def __init__(self, headbox_file: str | None = None, **kwargs: Any) -> None:
        if headbox_file and not kwargs.get('test_mode'):
            raise ValueError('MPII: headbox_file is for evaluation; set test_mode=True with it.')
        # As ann_file; not given to mmpose, which would read it and pair by position.
        self.head_boxes = headbox_file and str(Path(kwargs.get('data_root') or '', headbox_file))
        super().__init__(**kwargs)

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        instances, images = super()._load_annotations()
        if self.head_boxes:
            sizes = head_sizes(instances, self.head_boxes, str(self.ann_file))
            for instance, size in zip(instances, sizes, strict=True):
                instance['head_size'] = np.full((1, 1), size)
        return instances, images
