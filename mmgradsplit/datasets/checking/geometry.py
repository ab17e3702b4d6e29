"""An image and its annotations: do they have the same size, and are they turned the same way?"""

from collections.abc import Mapping
from typing import Any

from mmgradsplit.datasets.files import orientation
from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import MISMATCHED

from .maps import MAPS

# EXIF's numbers of a picture that lies on its side, where width and height change places.
ON_ITS_SIDE = (5, 6, 7, 8)
TURNS = {
    2: 'mirrored', 3: 'turned by 180 degrees', 4: 'flipped', 5: 'turned and mirrored',
    6: 'turned by 90 degrees', 7: 'turned and mirrored', 8: 'turned by 270 degrees',
}  # fmt: skip
PLACED = (*MAPS.values(), 'instances', 'keypoints')
AS_STORED = "color_type='color_ignore_orientation'"


def is_placed(results: Mapping[str, Any]) -> bool:
    """Whether the sample has annotations that have a place in the image."""
    return any(results.get(key) is not None and len(results[key]) for key in PLACED)


def check_turned(results: Mapping[str, Any], transform: Any, path: str) -> None:
    """Refuse an image that is turned as it is read, where its annotations may not be.

    Where width and height change places, the size that the annotations say tells how they are
    meant. Else both ways fit, and nothing can tell.

    Args:
        results: The sample, with the image as it was read.
        transform: What read it.
        path: Its file.

    Raises:
        SampleError: If it is turned, and no size tells.
    """
    color_type = str(getattr(transform, 'color_type', 'color'))
    if color_type == 'unchanged' or 'ignore_orientation' in color_type:
        return
    number = orientation(path)
    if number not in TURNS:
        return
    height, width = results['img'].shape[:2]
    said = any(results.get(key) for key in MAPS.values()) or (
        results.get('width') and results.get('height')
    )
    if number in ON_ITS_SIDE and height != width and said:
        return  # the size of the map, or that of the annotation file, is compared
    raise SampleError(
        f'the image has an EXIF entry by which it is {TURNS[number]} when it is read, and nothing '
        f'tells whether its annotations are of the image as it is shown or as it is stored: store '
        f'it as it is shown, without the entry (`mogrify -auto-orient`), or, where they are of the '
        f'stored pixels, set {AS_STORED} in {type(transform).__name__}',
        path,
        kind=MISMATCHED,
    )


def check_size(results: Mapping[str, Any], field: str) -> None:
    """Check that a map that has just been loaded has the size of its image.

    Args:
        results: The map, and ``ori_shape``, the size of the image as it was read.
        field: Name of the map.

    Raises:
        SampleError: If it has not.
    """
    shape = results.get('ori_shape')
    found = results[field].shape[:2]
    if shape is None or tuple(shape[:2]) == found:
        return
    image, path = results.get('img_path'), results.get(MAPS[field])
    raise SampleError(
        f'the map has {found[1]} x {found[0]} pixels, but its image {image} has '
        f'{shape[1]} x {shape[0]}{_turned_hint(image, found, shape)}; both have to have one size',
        path,
        field,
        MISMATCHED,
    )


def said_size(results: Mapping[str, Any]) -> str:
    """What is wrong with the size of an image that an annotation file says, or nothing."""
    size, shape = (results.get('height'), results.get('width')), results['img'].shape[:2]
    if None in size or size == shape:
        return ''
    hint = _turned_hint(results.get('img_path'), size, shape)
    return (
        f'the annotations are of a picture of {size[1]} x {size[0]} pixels, but the image has '
        f'{shape[1]} x {shape[0]}{hint}'
    )


def _turned_hint(image: Any, found: tuple, shape: Any) -> str:
    if (
        isinstance(image, str)
        and found == tuple(shape[1::-1])
        and orientation(image) in ON_ITS_SIDE
    ):
        return (
            f', as its EXIF entry turns it; store the image as it is shown and its annotations '
            f'alike, or set {AS_STORED} where it is loaded'
        )
    return ''
