"""Names and colours of what is predicted, from what a data set tells of itself."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

BLUE = (46, 127, 193)


def to_numpy(values: Any) -> NDArray[Any]:
    """A tensor on any device, or what NumPy takes, as an array."""
    return values.detach().cpu().numpy() if hasattr(values, 'detach') else np.asarray(values)


def class_names(meta: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of ``count`` classes, or ``class 3`` where the data set does not say."""
    classes = list(meta.get('classes') or ())
    return tuple(str(classes[i]) if i < len(classes) else f'class {i}' for i in range(count))


def class_palette(meta: Mapping[str, Any], count: int) -> NDArray[np.uint8]:
    """Colours of ``count`` classes, shape [count x 3], RGB."""
    palette = meta.get('palette')
    if palette is not None and len(palette) >= count:
        return np.asarray(palette, np.uint8).reshape(-1, 3)[:count]
    colours = np.asarray(matplotlib.colormaps['tab20'].colors)  # type: ignore[attr-defined]
    return np.rint(colours[np.arange(count) % len(colours)] * 255).astype(np.uint8)


def given_colours(colours: Any, count: int) -> NDArray[np.uint8]:
    """Colours of keypoints or links, shape [count x 3], RGB; blue where the data set says none."""
    if colours is None or len(colours) != count:
        return np.full((count, 3), BLUE, np.uint8)
    return np.asarray(colours, np.uint8).reshape(-1, 3)
