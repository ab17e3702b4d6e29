"""The camera."""

from dataclasses import dataclass

import numpy as np

from .textures import Array


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; the principal point is the middle of the picture.

    Args:
        position: In the world, shape [3].
        turn: Its axes in the world as columns: right, up, backwards; shape [3 x 3].
        focal: Focal length, in pixels.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.
    """

    position: Array
    turn: Array
    focal: float
    width: int
    height: int

    def rays(self, corners: bool = False) -> Array:
        """Directions in the world through the middles of the pixels, or through their corners.

        Their length along the optical axis is one, so that the distance in lengths of a ray is the
        depth.

        Args:
            corners: Whether through the corners, of which there is one more in each direction.

        Returns:
            shape [h x w x 3].
        """
        columns, rows = np.arange(self.width + corners), np.arange(self.height + corners)
        across = (columns - columns.mean()) / self.focal
        up = (rows.mean() - rows) / self.focal
        rays = np.stack(np.broadcast_arrays(across, up[:, None], -1.0), axis=-1)
        return rays @ self.turn.T

    def sees(self, point: Array, margin: float = 1.0) -> bool:
        """Whether a point is in the picture, between its sides.

        Args:
            point: In the world, shape [3].
            margin: Factor on the picture's width.
        """
        x, _, back = (point - self.position) @ self.turn
        return bool(-back > 0.5 and abs(x) < margin * -back * self.width / (2 * self.focal))
