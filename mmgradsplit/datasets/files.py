"""Reading the files of data sets: each error names the file and says what to do."""

import io
import os
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io
from mmengine import fileio
from numpy.typing import NDArray
from PIL import Image

from mmgradsplit.utils import SampleError, check_file

ARRAY = '.npy'
PNG = b'\x89PNG\r\n\x1a\n'
PNG_GRAY = 0
# What Pillow calls images with one number a pixel.
NUMBERED = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')
# Grey PNGs of 2 and 4 bits are decoded to 0..255.
SPREAD = {2: 85, 4: 17}
TIFF = (b'II*\0', b'MM\0*')
# EXIF stands at the beginning of a file.
HEAD = 1 << 12
ORIENTATION = 0x0112


def orientation(path: str) -> int:
    """How an image says that it is to be turned to be shown: EXIF's number, 1 for not at all."""
    if '://' in path:
        return 1
    # Without Python's buffers: this is done for every image.
    file = os.open(path, os.O_RDONLY)
    head = os.read(file, HEAD)
    os.close(file)
    if b'Exif\0' not in head and b'eXIf' not in head and head[:4] not in TIFF:
        return 1
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, struct.error):
        return 1


def read_array(path: str, backend_args: dict | None = None) -> NDArray[Any]:
    """An array of a ``.npy`` file, or the numbers or colours of an image.

    Args:
        path: The file.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        shape [H x W], or [H x W x C], colours in the order RGB; 16 bits stay 16 bits.

    Raises:
        SampleError: If the file cannot be read.
    """
    content = _content(path, backend_args)
    if path.endswith(ARRAY):
        return _array(path, content)
    image = _decoded(content)
    if image is None:
        raise SampleError(f'it cannot be decoded as an image; {described(content)}', path)
    return image if image.ndim == 2 else cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB)


def read_labels(path: str, backend_args: dict | None = None) -> NDArray[Any]:
    """The numbers of a label map, as they are in the file: of a palette image, the indices.

    Args:
        path: An image with one number a pixel, or a ``.npy`` file.
        backend_args: Arguments of mmengine's file backend.

    Returns:
        shape [H x W], any type.

    Raises:
        SampleError: If the file cannot be read, or holds colours.
    """
    content = _content(path, backend_args)
    if path.endswith(ARRAY):
        labels = _array(path, content)
        if labels.ndim == 3 and 1 in (labels.shape[0], labels.shape[2]):
            labels = labels.squeeze(0 if labels.shape[0] == 1 else 2)
        if labels.ndim != 2:
            raise SampleError(
                f'a label map has one number a pixel, [H x W], but this has the shape '
                f'{labels.shape}',
                path,
            )
        return labels
    bits, kind = (content[24], content[25]) if content[:8] == PNG and len(content) > 25 else (0, -1)
    if kind == PNG_GRAY and bits >= 8:
        decoded = _decoded(content)
        if decoded is not None:
            return decoded
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == 'JPEG':
                raise SampleError(
                    'a label map cannot be a JPEG, which changes the numbers of the pixels; save '
                    'it as PNG',
                    path,
                )
            if image.mode not in NUMBERED:
                raise SampleError(
                    f'the mask has the channels {image.mode}; a mask has one channel, and each of '
                    f'its pixels is the number of a class (colours have to be turned into numbers)',
                    path,
                )
            labels = np.asarray(image)
    except SampleError:
        raise
    except Exception as error:  # whatever Pillow's plug-ins make of broken bytes
        raise SampleError(
            f'it cannot be decoded as an image ({error}); {described(content)}', path
        ) from error
    return labels // SPREAD[bits] if kind == PNG_GRAY and bits in SPREAD else labels


def read_mat(path: str, names: Collection[str]) -> dict[str, Any]:
    """Variables of a MATLAB file, of version 7.3 (which is HDF5) as of those before.

    Args:
        path: The file.
        names: The variables.

    Returns:
        Those of the variables that the file has. Cells of texts are arrays of objects.

    Raises:
        SampleError: If it is no MATLAB file, or not whole.
    """
    check_file(path)
    try:
        if _is_hdf5(path):
            return _read_hdf5(path, names)
        return scipy.io.loadmat(path, variable_names=list(names))
    except Exception as error:  # scipy and h5py raise whatever the broken bytes lead to
        raise SampleError(
            f'it is not a readable MATLAB file ({error}); '
            f'{described(Path(path).read_bytes()[:HEAD])}',
            path,
        ) from error


def described(content: bytes) -> str:
    """What the beginning of a file that cannot be read says of it, and what to do."""
    start = content.lstrip()[:64].lower()
    if start.startswith((b'<!doctype', b'<html')):
        return 'it is a web page, such as an error of the download; fetch it again'
    if start.startswith(b'version https://git-lfs'):
        return 'it is a pointer of Git LFS; fetch the file itself with `git lfs pull`'
    return 'it is broken, not whole, or something else; fetch it again'


def _content(path: str, backend_args: dict | None) -> bytes:
    check_file(path)
    try:
        return fileio.get(path, backend_args)
    except Exception as error:  # of any backend
        raise SampleError(f'it cannot be read: {error}', path) from error


def _array(path: str, content: bytes) -> NDArray[Any]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever broken bytes lead to
        raise SampleError(f'it cannot be read as an array of NumPy ({error})', path) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'buif':
        raise SampleError('it does not hold one array of real numbers', path)
    return array


def _decoded(content: bytes) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _is_hdf5(path: str) -> bool:
    # MATLAB's own header of 512 bytes may come before that of HDF5.
    import h5py

    return bool(h5py.is_hdf5(path))


def _read_hdf5(path: str, names: Collection[str]) -> dict[str, Any]:
    import h5py

    with h5py.File(path) as file:
        return {name: _hdf5_value(file, file[name]) for name in names if name in file}


def _hdf5_value(file: Any, dataset: Any) -> NDArray[Any]:
    """A variable with its dimensions in MATLAB's order; texts and cells of texts as objects."""
    import h5py

    values = dataset[()]
    if h5py.check_ref_dtype(dataset.dtype) is not None:
        texts = np.empty(values.size, dtype=object)
        texts[:] = [_text(file[reference][()]) for reference in values.T.ravel()]
        return texts.reshape(values.shape[::-1])
    return values.T


def _text(codes: NDArray[Any]) -> str:
    return ''.join(chr(int(code)) for code in codes.T.ravel())
