"""A tiny data set of boxes and masks in COCO's format."""

import json
from pathlib import Path

import cv2
import numpy as np


def write_coco(folder: Path, *names: str) -> Path:
    """Write four pictures with one bright thing each; returns the folder.

    Args:
        folder: Where ``images`` and ``coco.json`` go.
        *names: Categories; all things are of the first.
    """
    (folder / 'images').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(1, 5):
        picture = np.full((128, 128, 3), 60, np.uint8)
        x, y = (int(v) for v in rng.integers(10, 50, 2))
        picture[y : y + 60, x : x + 40] = 220
        assert cv2.imwrite(str(folder / 'images' / f'{i}.jpg'), picture)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=128, height=128))
        outline = [x, y, x + 40, y, x + 40, y + 60, x, y + 60]
        annotations.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[x, y, 40, 60],
                area=2400,
                iscrowd=0,
                segmentation=[outline],
            )
        )
    categories = [dict(id=i, name=name) for i, name in enumerate(names, 1)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'coco.json').write_text(json.dumps(content))
    return folder
