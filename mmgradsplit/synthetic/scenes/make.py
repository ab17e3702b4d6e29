"""Draws rooms and writes them as the multi-task preparation of NYUv2 does."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from mmgradsplit.synthetic.made import make_folder
from mmgradsplit.version import __version__

from .names import CLASSES
from .render import Shot, take

LEAST = 32  # pixels: in less, nothing is recognised
FOLDERS = ('images', 'segmentation', 'depth', 'normals', 'gt_sets')


def make_scenes(
    out: str | Path,
    train: int = 400,
    val: int = 100,
    width: int = 160,
    height: int = 120,
    seed: int = 0,
) -> Path:
    """Write drawn rooms, each with all its annotations, in the files of NYUv2's preparation.

    The folder::

        out/
        ├── images/00000.jpg, ...        # the pictures
        ├── segmentation/00000.png, ...  # 0 unlabelled, 1 to 13 the class of NYUv2-13 plus one
        ├── depth/00000.npy, ...         # float32 [h x w], metres along the optical axis, NaN: none
        ├── normals/00000.npy, ...       # float32 [h x w x 3], right, up, to the camera, 0: none
        ├── gt_sets/{train,val}.txt      # "00000", a picture a line
        └── dataset.json                 # the arguments and the names of the classes

    Picture i of a split depends on the seed, the split, i and the size alone. A folder that was
    made with the same arguments is left as it is.

    Args:
        out: The folder to write.
        train: Number of training pictures.
        val: Number of validation pictures.
        width: Width of the pictures, in pixels.
        height: Height of the pictures, in pixels.
        seed: Seed of all that is random.

    Returns:
        ``out``.

    Raises:
        ValueError: If a number is too small.
        FileExistsError: If ``out`` holds something else, or was made with other arguments.
    """
    arguments = dict(train=train, val=val, width=width, height=height, seed=seed)
    least = dict(train=1, val=1, width=LEAST, height=LEAST, seed=0)
    for name, number in arguments.items():
        if number < least[name]:
            raise ValueError(f'scenes: {name}={number} must be at least {least[name]}.')

    def write(folder: Path) -> dict[str, Any]:
        for name in FOLDERS:
            (folder / name).mkdir()
        first = 0
        for stream, (split, number) in enumerate(dict(train=train, val=val).items()):
            names = [f'{first + i:05d}' for i in range(number)]
            for i, name in enumerate(track(names, f'scenes {split}')):
                shot = take(np.random.default_rng((seed, stream, i)), width, height)
                _save(folder, name, shot)
            lines = ''.join(f'{name}\n' for name in names)
            (folder / 'gt_sets' / f'{split}.txt').write_text(lines)
            first += number
        return dict(classes=CLASSES, version=__version__)

    return make_folder(out, arguments, write)


def _save(folder: Path, name: str, shot: Shot) -> None:
    picture = cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    for path, content, options in (
        (folder / 'images' / f'{name}.jpg', picture, quality),
        (folder / 'segmentation' / f'{name}.png', shot.segmentation, []),
    ):
        if not cv2.imwrite(str(path), content, options):
            raise OSError(f'scenes: cannot write {path}.')
    np.save(folder / 'depth' / f'{name}.npy', shot.depth)
    np.save(folder / 'normals' / f'{name}.npy', shot.normals)
