"""The three-task digits set (GradSplit, supplement C): a digit anywhere on a photograph."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from .digits_sources import LabelledImages, read_cifar10, read_mnist
from .made import make_folder

# Share of the digits for training where the source has one set only.
TRAIN_SHARE = 0.8
BRIGHTNESS = (200, 255)


def make_digits(
    mnist: str | Path,
    cifar: str | Path,
    out: str | Path,
    train: int = 20000,
    test: int = 2000,
    size: int = 64,
    digit_size: int = 56,
    seed: int = 0,
) -> Path:
    """Write the three-task set; training and test share no digit image and no photograph.

    The folder::

        out/
        ├── {train,test}/images/00000.png, ...     # the pictures
        ├── {train,test}/masks/00000.png, ...      # 0 background, 1 digit
        ├── digit_{train,test}.txt                 # "images/00000.png 7", a picture a line
        ├── photo_{train,test}.txt                 # the same with the photograph's class
        └── dataset.json                           # the arguments and the names of the classes

    mmpretrain's ``CustomDataset`` and mmseg's ``BaseSegDataset`` read it. A folder that was made
    with the same arguments is left as it is.

    Args:
        mnist: Folder of MNIST's IDX files, plain, gzipped or as torchvision lays them out. Where it
            has the training or the test set alone, that one is split in two.
        cifar: CIFAR-10: a zip file or folder of ``{train,test}/CLASS/*.jpg``, or torchvision's
            ``cifar-10-batches-py``.
        out: The folder to write.
        train: Number of training pictures. Each digit and photograph is used equally often.
        test: Number of test pictures.
        size: Height and width of the pictures.
        digit_size: Height and width of the digits; the default is to the pictures as MNIST's 28
            pixels are to CIFAR's 32.
        seed: Seed of the pairs, the places and the brightness.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: If a source is missing.
        ValueError: If a source is corrupt, a digit does not fit, or a number is not positive.
        FileExistsError: If ``out`` holds something else.
    """
    arguments = dict(
        mnist=Path(mnist).name,
        cifar=Path(cifar).name,
        train=train,
        test=test,
        size=size,
        digit_size=digit_size,
        seed=seed,
    )
    if not 0 < digit_size <= size:
        raise ValueError(f'digits: digit_size={digit_size} must be in 1 to size={size}.')
    if min(train, test) < 1:
        raise ValueError(f'digits: train={train} and test={test} must be positive.')

    def write(folder: Path) -> dict:
        digits = _digit_parts(read_mnist(mnist), np.random.default_rng((seed, 0)))
        photos, classes = read_cifar10(cifar)
        for stream, (split, number) in enumerate((('train', train), ('test', test)), start=1):
            rng = np.random.default_rng((seed, stream))
            compose = partial(_compose, rng, size, digit_size)
            _write_split(folder, split, number, digits[split], photos[split], compose, rng)
        return dict(photo_classes=classes)

    return make_folder(out, arguments, write)


def _digit_parts(
    sets: dict[str, LabelledImages], rng: np.random.Generator
) -> dict[str, LabelledImages]:
    """Return the digits for training and for test, from one source set or two."""
    if len(sets) == 2:
        return sets
    (only,) = sets.values()
    train, test = np.split(rng.permutation(len(only)), [int(TRAIN_SHARE * len(only))])
    if min(len(train), len(test)) == 0:
        raise ValueError(f'MNIST: {len(only)} digits are too few for a training and a test part.')
    return dict(train=only.subset(train), test=only.subset(test))


def _compose(
    rng: np.random.Generator, size: int, digit_size: int, digit: np.ndarray, photo: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Overlay a digit, ``[h, w]``, on a photograph, ``[H, W, 3]``.

    Returns:
        The picture, ``[size, size, 3]``, and its mask, ``[size, size]``: 1 where the digit is.
    """
    picture = cv2.resize(photo, (size, size), interpolation=cv2.INTER_CUBIC)
    alpha = np.zeros((size, size, 1), np.float32)
    top, left = rng.integers(0, size - digit_size + 1, size=2)
    place = slice(top, top + digit_size), slice(left, left + digit_size), 0
    alpha[place] = cv2.resize(digit, (digit_size, digit_size)) / np.float32(255)
    picture = picture * (1 - alpha) + rng.uniform(*BRIGHTNESS) * alpha
    return np.rint(picture).astype(np.uint8), (alpha[..., 0] >= 0.5).astype(np.uint8)


def _write_split(
    out: Path,
    split: str,
    number: int,
    digits: LabelledImages,
    photos: LabelledImages,
    compose: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
) -> None:
    images, masks = out / split / 'images', out / split / 'masks'
    images.mkdir(parents=True)
    masks.mkdir()
    # Repeated permutations: each is used equally often, give or take one.
    digit_order, photo_order = (
        np.concatenate([rng.permutation(len(s)) for _ in range(-(-number // len(s)))])
        for s in (digits, photos)
    )
    lines: dict[str, list[str]] = dict(digit=[], photo=[])
    for i in range(number):
        digit, photo = int(digit_order[i]), int(photo_order[i])
        picture, mask = compose(digits.read(digit), photos.read(photo))
        name = f'{i:05d}.png'
        for folder, content in ((images, picture), (masks, mask)):
            if not cv2.imwrite(str(folder / name), content):
                raise OSError(f'digits: cannot write {folder / name}.')
        lines['digit'].append(f'images/{name} {digits.labels[digit]}\n')
        lines['photo'].append(f'images/{name} {photos.labels[photo]}\n')
    for task, task_lines in lines.items():
        (out / f'{task}_{split}.txt').write_text(''.join(task_lines))
