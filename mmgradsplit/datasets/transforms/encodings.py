"""Depth, disparity and normals in the forms in which files hold them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import IMPLAUSIBLE

# What whole numbers of a depth map may mean, with the factor to metres, the usual ones first.
DEPTHS = {
    'millimetres': ('0.001', 1e-3),
    '1/256 of a metre (KITTI)': ('1/256', 1 / 256),
    '1/5000 of a metre (TUM, ICL)': ('1/5000', 1 / 5000),
    'metres': ('1.0', 1.0),
}
# Metres. Medians of depth maps beyond these are in another unit.
NEAREST, FARTHEST = 0.02, 300.0
# Median lengths beyond these are not those of normals that were coded, but of colours.
SHORTEST, LONGEST = 0.7, 1.3
# How far lengths are from 1, at the median, where all numbers are positive, as those of codes are.
UNIT = 0.1
# For a median, every so many pixels along both sides are enough.
STEP = 4


def distances(stored: NDArray[Any], path: str, factor: float | None) -> NDArray[np.float32]:
    """Depths in metres, NaN where none was measured.

    Args:
        stored: shape [H x W], as they are in the file.
        path: The file, for messages.
        factor: What they are multiplied by; None for floating point in metres.

    Raises:
        SampleError: If there is no factor, and they are whole numbers or cannot be metres.
    """
    depth = stored.astype(np.float32)
    if factor is None:
        whole = not np.issubdtype(stored.dtype, np.floating)
        median = _median(depth)
        if whole or not (np.isnan(median) or NEAREST <= median <= FARTHEST):
            what = f'whole numbers ({stored.dtype})' if whole else 'numbers'
            meanings = ', '.join(
                f'{name}: {median * value:.4g} m with depth_factor={text}'
                for name, (text, value) in DEPTHS.items()
            )
            raise SampleError(
                f'the depth map has {what} whose median is {median:.5g}, and nothing says in which '
                f'unit; set depth_factor of LoadDenseAnnotations. They could be {meanings}',
                path,
                kind=IMPLAUSIBLE,
            )
    else:
        depth *= np.float32(factor)
    return _where(depth > 0, depth)


def disparities(
    stored: NDArray[Any], path: str, factor: float | None, offset: float
) -> NDArray[np.float32]:
    """Disparities in pixels, NaN where none was measured.

    Args:
        stored: shape [H x W], as they are in the file; 0 is not measured.
        path: The file, for messages.
        factor: What they are multiplied by; None for floating point in pixels.
        offset: What is added first.

    Raises:
        SampleError: If there is no factor, and they are whole numbers.
    """
    values = stored.astype(np.float32)
    if factor is None and not np.issubdtype(stored.dtype, np.floating):
        raise SampleError(
            f'the disparity map has whole numbers ({stored.dtype}) whose median is '
            f'{_median(values):.5g}, and nothing says in which unit; set disparity_factor of '
            f'LoadDenseAnnotations: 1/256 with disparity_offset=-1 for Cityscapes, 1/256 for '
            f'KITTI, 1.0 for pixels',
            path,
            kind=IMPLAUSIBLE,
        )
    disparity = (values + np.float32(offset)) * np.float32(1 if factor is None else factor)
    return _where(values > 0, disparity)


def unit_normals(stored: NDArray[Any], path: str) -> NDArray[np.float32]:
    """Normals of length 1, NaN where there is none.

    Args:
        stored: shape [H x W x 3], numbers, or codes 0 to 255 (65535) of -1 to 1.
        path: The file, for messages.

    Raises:
        SampleError: If they are colours, or codes of another form.
    """
    whole = stored.dtype in (np.uint8, np.uint16)
    if whole:
        largest = np.iinfo(stored.dtype).max
        normal = stored.astype(np.float32) * np.float32(2 / largest) - np.float32(1)
        low, high = 0.5, 1.5  # grey is 0, black and white are 1.7
    elif np.issubdtype(stored.dtype, np.floating):
        normal = stored.astype(np.float32)
        low, high = 0.1, float('inf')
    else:
        raise SampleError(
            f'normals are floating point from -1 to 1, or codes of them from 0 to 255 (uint8) or '
            f'65535 (uint16), but these are {stored.dtype}',
            path,
            kind=IMPLAUSIBLE,
        )
    x, y, z = (normal[..., i] for i in range(3))
    with np.errstate(over='ignore'):  # then it is infinite, and nothing measured
        length = np.sqrt(x * x + y * y + z * z)
    # Whatever is not finite makes the length so.
    measured = (length > low) & (length < high)
    _check_lengths(normal, length, measured, whole, path)
    length[~measured] = np.nan
    return normal / length[..., None]


def _check_lengths(
    normal: NDArray[np.float32],
    length: NDArray[np.float32],
    measured: NDArray[np.bool_],
    whole: bool,
    path: str,
) -> None:
    some = length[::STEP, ::STEP][measured[::STEP, ::STEP]]
    if not some.size:
        return
    typical = float(np.median(some))
    # Codes of 0 to 1, or 0 to 255, that were not turned back to -1 to 1 have no negative number.
    coded = np.median(np.abs(some - 1)) > UNIT and not (normal < 0).any()
    if coded or (whole and not SHORTEST <= typical <= LONGEST):
        raise SampleError(
            f'its vectors are no normals: their length is {typical:.3g} at the median, where it '
            f'has to be 1; floating point is taken as it is, from -1 to 1, and 8 and 16 bits as '
            f'codes, n = 2 v / 255 - 1',
            path,
            kind=IMPLAUSIBLE,
        )


def _where(measured: NDArray[np.bool_], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values that were measured and are finite, NaN elsewhere."""
    return np.where(measured & np.isfinite(values), values, np.float32(np.nan))


def _median(values: NDArray[np.float32]) -> float:
    """The median of what is above 0, or of all where that is nothing; NaN of nothing finite."""
    some = values[::STEP, ::STEP]
    some = some[np.isfinite(some)]
    positive = some[some > 0]
    return float(np.median(positive)) if positive.size else float('nan')
