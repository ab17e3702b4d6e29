"""Pictures of any kind as arrays of one kind: BGR, 8 bits, as they are shown."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Of 16 bits, as a factor to 8: 65535 becomes 255.
SIXTEEN_BITS = 257
WHITE = (255, 255, 255, 255)


def read_image(image: str | Path | np.ndarray | Image.Image) -> NDArray[np.uint8]:
    """A picture as an array, turned as its EXIF entry says.

    What is transparent shows white. 16 bits are scaled to 8, from 65535. Of an animation, the first
    frame is taken.

    Args:
        image: File; or a PIL image; or an array, ``[H x W]``, ``[H x W x 1]``, or with 3 or 4
            channels as OpenCV has them, BGR or BGRA: ``uint8``, ``uint16``, or floating point from
            0 to 1. An array of the result's kind is returned as it is.

    Returns:
        shape [H x W x 3], BGR, uint8.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is none of these.
        ValueError: If the file cannot be read, or the array is no picture.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, 'an array')
    if isinstance(image, Image.Image):
        return _from_pil(image, 'a PIL image')
    if not isinstance(image, str | Path):
        raise TypeError(
            f'a picture is a file, a NumPy array or a PIL image, not a {type(image).__name__}'
        )
    if not Path(image).is_file():
        raise FileNotFoundError(f"no image '{image}'")
    if not Path(image).stat().st_size:
        raise ValueError(f"'{image}' is empty, it has 0 bytes")
    try:
        with Image.open(image) as opened:
            return _from_pil(opened, f"'{image}'")
    except UnidentifiedImageError:
        raise ValueError(f"'{image}' is not an image that Pillow can read") from None
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"'{image}' cannot be read as an image: {error}") from error


def _from_pil(image: Image.Image, name: str) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I') or image.mode == 'F':
        values = np.asarray(image)
        if image.mode == 'I' and values.min() >= 0 and values.max() <= np.iinfo(np.uint16).max:
            values = values.astype(np.uint16)
        return _from_array(values, name)
    if 'A' in image.mode.upper() or 'transparency' in image.info:
        rgba = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', rgba.size, WHITE), rgba)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


def _from_array(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f'{name} of the shape {array.shape} is no picture: it takes [H x W], or [H x W x C] '
            f'with 1, 3 (BGR) or 4 (BGRA) channels; several pictures are given as a list'
        )
    pixels = _eight_bits(array, name)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        mixed = pixels[..., :3] * alpha + 255 * (255 - alpha)
        return ((mixed + 127) // 255).astype(np.uint8)
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _eight_bits(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16 or array.dtype.str == '>u2':
        return np.rint(array / SIXTEEN_BITS).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f'{name} of {array.dtype} is no picture: it takes uint8, uint16, or floating point '
            f'from 0 to 1'
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # so that NaN is refused
        raise ValueError(
            f'{name} of {array.dtype} has values from {low:g} to {high:g}, so it may mean 0 to 255 '
            f'or something else: give floating point from 0 to 1, or uint8'
        )
    return np.rint(array * 255).astype(np.uint8)
