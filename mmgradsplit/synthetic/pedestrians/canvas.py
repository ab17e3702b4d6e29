"""Where a person is drawn: projection, a canvas at twice the resolution, tubes and ellipsoids.

Everything round in a drawing is the outline of a tube or of an ellipsoid in space.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from .person import Colour, Person
from .skeleton import Array, Body, Figure, turn_x, turn_y

PLAIN, DARK, LIT, EDGE = 128, 102, 142, 74
"""Levels of the shading plane; 128 leaves the colour as it is."""

_FACTOR = 2  # a canvas pixel is half an image pixel
_SHIFT = 3  # OpenCV's fixed-point bits of coordinates


@dataclass(frozen=True)
class View:
    """The camera as the person sees it: a weak perspective at a set distance.

    Args:
        yaw: Turn of the person, radians; 0 faces the camera, pi/2 looks to the image's right.
        pitch: How far the camera looks down, radians.
        scale: Pixels of an adult's height.
        foot: Image position (x, y) of the ground point below the pelvis.
        light: 1 where the light comes from the right of the image, -1 from the left.
        distance: Distance of the camera, in adults' heights.
    """

    yaw: float
    pitch: float
    scale: float
    foot: tuple[float, float]
    light: int = 1
    distance: float = 5.0

    @cached_property
    def rotation(self) -> Array:
        """Body frame to camera frame (right, up, towards the camera), shape (3, 3)."""
        return turn_x(self.pitch) @ turn_y(self.yaw)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Where points appear in the image.

        Args:
            points: Points of the body frame, shape (n, 3).

        Returns:
            Pixels (x right, y down), shape (n, 2), and pixels per unit of length, shape (n,).
        """
        turned = points @ self.rotation.T
        factor = self.scale * self.distance / (self.distance - turned[:, 2])
        pixels = turned[:, :2] * factor[:, None] * [1.0, -1.0]
        return pixels + self.foot, factor

    def depth(self, point: Array) -> float:
        """Nearness to the camera along the ground of a point (or mean of points), for sorting."""
        x, _, z = np.atleast_2d(point).mean(0)
        return float(z * np.cos(self.yaw) - x * np.sin(self.yaw))


@dataclass(frozen=True)
class Tube:
    """The outline of a tube: rows from one end to the other.

    Args:
        middle: Middle of each row, shape (n, 2).
        across: From the middle to the edge of each row, shape (n, 2).
    """

    middle: Array
    across: Array

    def patch(self, v0: float = 0, v1: float = 1, u0: float = -1, u1: float = 1) -> Array:
        """A patch in the tube's own coordinates.

        Args:
            v0: Start along the tube, 0 to 1.
            v1: End along the tube.
            u0: Start across, -1 (one edge) to 1 (other edge).
            u1: End across.

        Returns:
            Polygon, shape (m, 2).
        """
        last = len(self.middle) - 1
        inner = np.arange(np.floor(v0 * last) + 1, np.ceil(v1 * last))
        rows = np.concatenate([[v0 * last], inner, [v1 * last]])
        low = np.minimum(rows.astype(int), last - 1)
        rest = (rows - low)[:, None]
        middle = (1 - rest) * self.middle[low] + rest * self.middle[low + 1]
        across = (1 - rest) * self.across[low] + rest * self.across[low + 1]
        return np.concatenate([middle + u0 * across, (middle + u1 * across)[::-1]])

    def point(self, v: float, u: float) -> Array:
        """The pixel at ``v`` along and ``u`` across, shape (2,)."""
        return self.patch(v, v, u, u)[0]


def _spine(view: View, centres: Array) -> tuple[Array, Array, Array]:
    """Pixels, unit normals (to the right of the image) and scale of a tube's centre line."""
    middle, factor = view.project(centres)
    along = np.gradient(middle, axis=0)
    length = np.hypot(along[:, 0], along[:, 1])[:, None]
    along = np.where(length > 1e-6, along / np.maximum(length, 1e-6), [0.0, 1.0])
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    # One direction for all parts, so that their light and dark sides agree.
    normal *= -1.0 if normal[:, 0].sum() < 0 else 1.0
    return middle, normal, factor


def tube(view: View, centres: Array, frame: Array, half_x: Array, half_z: Array) -> Tube:
    """Project a tube with elliptic cross-sections.

    Args:
        view: The camera.
        centres: Centre line in the body frame, shape (n, 3).
        frame: Axes of the cross-sections in columns, shape (3, 3).
        half_x: Half width along the frame's x axis, shape (n,).
        half_z: Half depth along the frame's z axis, shape (n,).

    Returns:
        Its outline.
    """
    middle, normal, factor = _spine(view, centres)
    axes = (view.rotation @ frame)[:2] * np.array([[1.0], [-1.0]])
    # Support function of an ellipse in the direction of the normal.
    half = np.hypot(half_x * (normal @ axes[:, 0]), half_z * (normal @ axes[:, 2]))
    return Tube(middle, normal * (half * factor)[:, None])


def capsule(view: View, centres: Array, radii: Array) -> Tube:
    """Project a tube with round cross-sections.

    Args:
        view: The camera.
        centres: Centre line in the body frame, shape (n, 3).
        radii: Radius at each point, shape (n,).
    """
    middle, normal, factor = _spine(view, centres)
    return Tube(middle, normal * (radii * factor)[:, None])


class Ellipsoid:
    """An ellipsoid seen by a camera; points on it are named by unit directions in its own frame.

    Args:
        view: The camera.
        centre: In the body frame, shape (3,).
        frame: Its axes in columns, shape (3, 3).
        radii: Half axes, shape (3,).
    """

    def __init__(self, view: View, centre: Array, frame: Array, radii: Array) -> None:
        pixel, factor = view.project(centre[None])
        self.centre = pixel[0]
        self.unit = float(factor[0])
        self.frame = view.rotation @ frame
        self.axes = self.frame * radii
        to_camera = np.linalg.solve(self.axes, np.array([0.0, 0.0, 1.0]))
        self.to_camera = to_camera / np.linalg.norm(to_camera)

    def _pixels(self, offsets: Array) -> Array:
        return self.centre + self.unit * offsets[:, :2] * [1.0, -1.0]

    def outline(self) -> Array:
        """Silhouette polygon, shape (32, 2)."""
        flat = self.axes[:2]
        half = np.linalg.cholesky(flat @ flat.T)
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        return self._pixels((half @ [np.cos(angles), np.sin(angles)]).T)

    def faces(self, direction: tuple[float, float, float]) -> float:
        """Cosine between a direction and the camera in the sphere's space; visible above 0."""
        unit = np.array(direction)
        return float(unit @ self.to_camera / np.linalg.norm(unit))

    def points(self, directions: Array) -> Array:
        """Pixels of directions, which may be longer than 1 (outside); shape (n, 3) to (n, 2)."""
        return self._pixels(directions @ self.axes.T)

    def cap(self, direction: tuple[float, float, float], angle: float) -> Array | None:
        """The visible part of a spherical cap.

        Args:
            direction: Its middle.
            angle: Its angular radius in degrees, below 90.

        Returns:
            Polygon, shape (n, 2), or None where none of it is visible.
        """
        pole, camera = np.array(direction) / np.linalg.norm(direction), self.to_camera
        facing = float(pole @ camera)
        tilt = float(np.sqrt(max(1 - facing**2, 0)))
        height, radius = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        # Any direction will do for a cap that faces the camera squarely.
        across = np.cross(pole, camera if tilt > 1e-4 else np.roll(camera, 1))
        across /= np.linalg.norm(across)
        towards = np.cross(across, pole)
        if tilt <= height:
            if facing < 0:
                return None
            end = np.pi  # all of the rim is visible
        else:
            end = np.arccos(np.clip(-height * facing / (radius * tilt), -1, 1))
        turn = np.linspace(-end, end, 24)[:, None]
        rim = height * pole + radius * (np.cos(turn) * towards + np.sin(turn) * across)
        if tilt > height:
            # The rest of the cap's edge is the part of the silhouette inside the cap.
            limit = np.arccos(height / tilt)
            turn = np.linspace(limit, -limit, 24)[:, None]
            outward = np.cross(camera, across)
            rim = np.concatenate([rim, np.cos(turn) * outward + np.sin(turn) * across])
        return self.points(rim)


class Canvas:
    """Colour, part codes and shading of one figure, at twice the image's resolution.

    Args:
        box: The part of the image that is covered: x0, y0, x1, y1 in whole pixels.
    """

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        self.box = box
        size = (_FACTOR * (box[3] - box[1]), _FACTOR * (box[2] - box[0]))
        self.colour: NDArray[np.uint8] = np.zeros((*size, 3), np.uint8)
        self.codes: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.shade: NDArray[np.uint8] = np.full(size, PLAIN, np.uint8)

    def _fixed(self, points: Array) -> NDArray[np.int32]:
        at = (points - self.box[:2]) * _FACTOR + 0.5
        return np.round(at * (1 << _SHIFT)).astype(np.int32)

    def fill(self, points: Array, colour: Colour, code: int) -> None:
        """Fill a polygon of image points, shape (n, 2), in all three planes."""
        at = [self._fixed(points)]
        cv2.fillPoly(self.colour, at, colour, shift=_SHIFT)
        cv2.fillPoly(self.codes, at, code, shift=_SHIFT)
        cv2.fillPoly(self.shade, at, PLAIN, shift=_SHIFT)

    def tint(self, points: Array, colour: Colour) -> None:
        """Fill a polygon in the colour plane alone (a pattern on what is there)."""
        cv2.fillPoly(self.colour, [self._fixed(points)], colour, shift=_SHIFT)

    def darken(self, points: Array, level: int) -> None:
        """Fill a polygon in the shading plane alone."""
        cv2.fillPoly(self.shade, [self._fixed(points)], level, shift=_SHIFT)

    def disc(self, centre: Array, radius: float, colour: Colour, code: int) -> None:
        """Fill a disc, radius in image pixels."""
        x, y = (int(c) for c in self._fixed(centre))
        size = max(1, round(radius * _FACTOR * (1 << _SHIFT)))
        for plane, value in ((self.colour, colour), (self.codes, code), (self.shade, PLAIN)):
            cv2.circle(plane, (x, y), size, value, -1, shift=_SHIFT)

    def disc_tint(self, centre: Array, radius: float, colour: Colour) -> None:
        """Fill a disc in the colour plane alone, radius in image pixels."""
        x, y = (int(c) for c in self._fixed(centre))
        size = max(1, round(radius * _FACTOR * (1 << _SHIFT)))
        cv2.circle(self.colour, (x, y), size, colour, -1, shift=_SHIFT)

    def line(self, points: Array, width: float, colour: Colour, code: int) -> None:
        """Draw an open line, width in image pixels."""
        at = [self._fixed(points)]
        size = max(1, round(width * _FACTOR))
        for plane, value in ((self.colour, colour), (self.codes, code), (self.shade, PLAIN)):
            cv2.polylines(plane, at, False, value, size, shift=_SHIFT)

    def crease(self, points: Array) -> None:
        """Draw a fine dark line in the shading plane."""
        cv2.polylines(self.shade, [self._fixed(points)], False, EDGE, 1, shift=_SHIFT)

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Apply the shading and go down to the image's resolution.

        Returns:
            Colour times cover, shape (h, w, 3), 0 to 255; cover, shape (h, w, 1), 0 to 1;
            codes, shape (h, w).
        """
        height, width = self.codes.shape
        size = (width // _FACTOR, height // _FACTOR)
        shade = cv2.blur(self.shade, (3, 3))
        shaded = cv2.multiply(self.colour, cv2.merge([shade] * 3), scale=1 / PLAIN)
        colour = cv2.resize(shaded, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        drawn = (self.codes > 0).astype(np.float32)
        cover = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.float32)
        return colour, cover[..., None], self.codes[::_FACTOR, ::_FACTOR].copy()


class Painter:
    """Draws something of a person onto a canvas.

    Args:
        canvas: Where to draw.
        view: The camera.
        person: The identity.
        body: Lengths.
        figure: The pose.
    """

    def __init__(
        self, canvas: Canvas, view: View, person: Person, body: Body, figure: Figure
    ) -> None:
        self.canvas, self.view, self.person = canvas, view, person
        self.body, self.figure, self.joints = body, figure, figure.joints
