"""Readers of MNIST and CIFAR-10 in the forms that users have: labelled images by index."""

import gzip
import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

IDX_DIMENSIONS = {'images': 3, 'labels': 1}
CIFAR_ENTRY = re.compile(r'(?:.*/)?(train|test)/([^/]+)/[^/]+\.(?:jpe?g|png)$', re.IGNORECASE)
CIFAR_PICKLES = dict(train=[f'data_batch_{i}' for i in range(1, 6)], test=['test_batch'])


@dataclass(frozen=True)
class LabelledImages:
    """Images that are read when asked for.

    Attributes:
        labels: Class of each image, ``[N]``.
        read: Gives the image of an index, uint8: ``[H, W]``, or ``[H, W, 3]`` as BGR.
    """

    labels: np.ndarray
    read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> 'LabelledImages':
        """Return the images of these indices, in this order."""
        return LabelledImages(self.labels[indices], lambda i: self.read(int(indices[i])))


def read_mnist(source: str | Path) -> dict[str, LabelledImages]:
    """Read the IDX files of MNIST, plain or gzipped.

    Args:
        source: The folder of the files, or one that holds them as torchvision does (``MNIST/raw``).

    Returns:
        The sets that are there, of ``'train'`` (``train-*``) and ``'test'`` (``t10k-*``).

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If a file is corrupt, or a set has images but no labels.
    """
    root = Path(source)
    sets = {}
    for split, stem in (('train', 'train'), ('test', 't10k')):
        images, labels = (_find_idx(root, f'{stem}-{kind}') for kind in IDX_DIMENSIONS)
        if images is None:
            continue
        if labels is None:
            raise ValueError(f'MNIST: {images} has no labels beside it ({stem}-labels-idx1-ubyte).')
        pixels, classes = _read_idx(images, 3), _read_idx(labels, 1)
        if len(pixels) != len(classes):
            raise ValueError(
                f'MNIST: {images} has {len(pixels)} images, but {labels} has {len(classes)} labels.'
            )
        sets[split] = LabelledImages(classes.astype(np.int64), pixels.__getitem__)
    if not sets:
        raise FileNotFoundError(
            f'MNIST: no IDX file in {root} (or its raw/ or MNIST/raw/), like '
            'train-images-idx3-ubyte or t10k-images-idx3-ubyte.gz.'
        )
    return sets


def read_cifar10(source: str | Path) -> tuple[dict[str, LabelledImages], list[str]]:
    """Read CIFAR-10, or any photographs of ten-odd classes in the same form.

    Args:
        source: A zip file or a folder of ``{train,test}/CLASS/*.jpg`` (or png), or a folder that
            is or holds torchvision's ``cifar-10-batches-py``.

    Returns:
        The sets ``'train'`` and ``'test'``, and the names of the classes.

    Raises:
        FileNotFoundError: If the source is missing, or is none of the above.
        ValueError: If a file is corrupt, or one of the two sets is missing.
    """
    root = Path(source)
    if root.is_file():
        return _read_zip(root)
    for folder in (root, root / 'cifar-10-batches-py'):
        if (folder / 'batches.meta').is_file():
            return _read_pickles(folder)
    if not root.is_dir():
        raise FileNotFoundError(f'CIFAR-10: no file or folder {root}.')
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file())
    return _by_folder(names, lambda name: (root / name).read_bytes(), str(root))


def _find_idx(root: Path, stem: str) -> Path | None:
    for folder in (root, root / 'raw', root / 'MNIST' / 'raw'):
        for path in sorted(folder.glob(f'{stem}[-.]idx?-ubyte*')):
            if path.suffix in ('', '.gz') or path.suffix.startswith('.idx'):
                return path
    return None


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of bytes: magic (0, 0, 8, dimensions), sizes as big-endian int32, data."""
    try:
        content = path.read_bytes()
        if path.suffix == '.gz':
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f'MNIST: cannot read {path} ({error}): fetch it again.') from error
    header = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header], '>i4') if len(content) >= header else np.zeros(1)
    if content[:4] != bytes((0, 0, 8, dimensions)) or len(content) != header + np.prod(shape):
        raise ValueError(
            f'MNIST: {path} is not a whole IDX file of {dimensions} dimensions: fetch it again.'
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _read_zip(path: Path) -> tuple[dict[str, LabelledImages], list[str]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f'CIFAR-10: {path} is not a whole zip file: fetch it again.') from error
    return _by_folder(sorted(archive.namelist()), archive.read, str(path))


def _by_folder(
    names: list[str], read_bytes: Callable[[str], bytes], source: str
) -> tuple[dict[str, LabelledImages], list[str]]:
    """Sort files named ``.../{train,test}/CLASS/NAME`` into the two sets."""
    found = [(m[1].lower(), m[2], name) for name in names if (m := CIFAR_ENTRY.match(name))]
    classes = sorted({class_name for _, class_name, _ in found})

    def images_of(split: str) -> LabelledImages:
        entries = [(class_name, name) for s, class_name, name in found if s == split]
        if not entries:
            raise FileNotFoundError(
                f'CIFAR-10: {source} holds no {split}/CLASS/*.jpg (or png), and no '
                'cifar-10-batches-py.'
            )
        labels = np.array([classes.index(class_name) for class_name, _ in entries])

        def read(i: int) -> np.ndarray:
            return _decode(read_bytes, entries[i][1], source)

        return LabelledImages(labels, read)

    return {split: images_of(split) for split in ('train', 'test')}, classes


def _decode(read_bytes: Callable[[str], bytes], name: str, source: str) -> np.ndarray:
    try:
        content = np.frombuffer(read_bytes(name), np.uint8)
    except (OSError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f'CIFAR-10: cannot read {name} in {source} ({error}).') from error
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if image is None:
        raise ValueError(f'CIFAR-10: {name} in {source} is not a readable image.')
    return image


def _read_pickles(folder: Path) -> tuple[dict[str, LabelledImages], list[str]]:
    classes = list(_unpickle(folder / 'batches.meta')['label_names'])
    sets = {}
    for split, names in CIFAR_PICKLES.items():
        batches = [_unpickle(folder / name) for name in names]
        pixels = np.concatenate([batch['data'] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([batch['labels'] for batch in batches])
        bgr = pixels.transpose(0, 2, 3, 1)[..., ::-1]
        sets[split] = LabelledImages(labels, bgr.__getitem__)
    return sets, classes


class _ArrayUnpickler(pickle.Unpickler):
    """Builds NumPy arrays and plain values only, so that a data file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.split('.')[0], name) in {
            ('numpy', '_reconstruct'),
            ('numpy', 'ndarray'),
            ('numpy', 'dtype'),
            ('_codecs', 'encode'),
        }:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


def _unpickle(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f'CIFAR-10: no file {path}: unpack the archive again.')
    stream: BinaryIO = io.BytesIO(path.read_bytes())
    try:
        return _ArrayUnpickler(stream, encoding='latin1').load()
    except Exception as error:  # broken bytes make a pickle raise anything
        raise ValueError(f'CIFAR-10: cannot read {path} ({error}): fetch it again.') from error
