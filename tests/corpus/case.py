"""What one case is, and the changes of which most are made."""

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .sets import (
    HEIGHT,
    WIDTH,
    save,
)

RIGHT = ''
# The image that is damaged, by data set.
IMAGES = dict(
    pa100k='release_data/release_data/000001.jpg',
    market='bounding_box_train/0002_c1s1_000251_01.jpg',
    mpii='images/1.jpg',
    lip='images/1.jpg',
    masks='images/1.png',
    scenes='images/1.jpg',
    cityscapes='leftImg8bit/ulm/ulm_000001_000019_leftImg8bit.png',
    voc='VOC2007/JPEGImages/001.jpg',
    coco='images/1.jpg',
    people='images/1.jpg',
    folders='train/1.png',
    table='images/1.jpg',
)
SEGMENTATIONS = dict(
    lip='labels/1.png',
    masks='masks/1.png',
    scenes='segmentation/1.png',
    cityscapes='gtFine/ulm/ulm_000001_000019_gtFine_labelIds.png',
)
# Data sets that list the files of folders.
LISTED = ('lip', 'masks', 'scenes', 'arrays', 'cityscapes')
# Data sets whose annotations have a place in the image.
PLACED = ('mpii', 'lip', 'masks', 'scenes', 'cityscapes', 'voc', 'coco', 'people')
MAPS = {
    **SEGMENTATIONS,
    'scenes depth': 'depth/1.npy',
    'scenes normal': 'normals/1.npy',
    'arrays label': 'label/1.npy',
    'arrays image': 'image/1.npy',
    'cityscapes disparity': 'disparity/ulm/ulm_000001_000019_disparity.png',
}


@dataclass(frozen=True)
class Case:
    """One odd data set.

    Attributes:
        name: What is odd.
        kind: The data set, of ``SETS``.
        change: Makes it odd; returns the file that is.
        words: What the error has to say, beside the file; ``RIGHT`` where it is read right.
        options: Other keys of the data set's config.
        look: Looks whether what was read is right, given all samples.
        check_alone: Whether it is a finding of the check alone, that a training goes on with.
    """

    name: str
    kind: str
    change: Callable[[Path], Path | str]
    words: str = RIGHT
    options: dict[str, Any] | None = None
    look: Callable[[list[dict]], bool] | None = None
    check_alone: bool = False


CASES: list[Case] = []


def add(
    name: str, kind: str, change: Callable[[Path], Any], words: str = RIGHT, **more: Any
) -> None:
    CASES.append(Case(f'{kind}: {name}', kind, change, words, **more))


def write(path: str, content: bytes) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        (root / path).write_bytes(content)
        return root / path

    return change


def cut(path: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) * 3 // 5])
        return root / path

    return change


def folder(path: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        (root / path).unlink()
        (root / path).mkdir()
        return root / path

    return change


def pipe(path: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        (root / path).unlink()
        os.mkfifo(root / path)
        return root / path

    return change


def missing(path: str) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        (root / path).unlink()
        return root / path

    return change


def array(path: str, make: Callable[[], np.ndarray], old: str = '') -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        if old:
            (root / old).unlink()
        save(root / path, make())
        return root / path

    return change


def pillow(path: str, make: Callable[[], Image.Image], **options: Any) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        content = io.BytesIO()
        make().save(content, **options)
        (root / path).write_bytes(content.getvalue())
        return root / path

    return change


def changed(path: str, change: Callable[[Any], Any]) -> Callable[[Path], Path]:
    def change_it(root: Path) -> Path:
        content = json.loads((root / path).read_text())
        (root / path).write_text(json.dumps(change(content)))
        return root / path

    return change_it


def same_maps(field: str, expected: np.ndarray, number: int = 1) -> Callable[[list[dict]], bool]:
    def look(samples: list[dict]) -> bool:
        data = getattr(samples[number]['data_samples'], field).data.numpy().squeeze()
        return bool(np.allclose(data, expected, atol=0.02, equal_nan=True))

    return look


def colours() -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    )
