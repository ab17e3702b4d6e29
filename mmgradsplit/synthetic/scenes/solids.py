"""Boxes, cylinders and ellipsoids, what is made of them, and where rays meet them.

The world is x, y, z with y up, in metres; a thing in its own frame stands on y = 0 and looks along
z. All solids are convex: a ray is inside one from its entry to its exit, and only entries are seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .textures import Array, Texture

BOX, CYLINDER, SPHERE = 'box', 'cylinder', 'sphere'
EPSILON = 1e-6  # of a ray's length: a ray does not meet the surface that it starts on


def turn_y(angle: float) -> Array:
    """Rotation about the vertical by an angle in radians, shape [3 x 3]; it turns z towards x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


@dataclass(frozen=True)
class Solid:
    """An affine image of the unit box, the upright unit cylinder or the unit sphere.

    Args:
        shape: 'box', 'cylinder' (about y) or 'sphere'.
        centre: shape [3].
        half: Half its size along its own axes, shape [3].
        label: Class in the segmentation, 0 where it has none.
        texture: Its colours.
        glow: Light that it sends out, as a share of its colour.
        glass: Whether the depth sensor looks through it or is blinded by it, in patches.
        turn: Its axes as columns, shape [3 x 3].
    """

    shape: str
    centre: Array
    half: Array
    label: int
    texture: Texture
    glow: float = 0.0
    glass: bool = False
    turn: Array = field(default_factory=lambda: np.eye(3))

    @property
    def radius(self) -> float:
        """Radius of a sphere about ``centre`` that holds the solid."""
        x, y, z = self.half
        return float(
            {BOX: np.hypot(np.hypot(x, y), z), CYLINDER: np.hypot(max(x, z), y)}.get(
                self.shape, max(x, y, z)
            )
        )

    def corners(self) -> Array:
        """Corners of the box about it, shape [8 x 3]."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return self.centre + (signs * self.half) @ self.turn.T

    def moved(self, turn: Array, by: Array) -> 'Solid':
        """The solid, turned about the origin and then shifted."""
        return replace(self, centre=turn @ self.centre + by, turn=turn @ self.turn)

    def enter(self, origins: Array, rays: Array) -> Array:
        """Where rays enter.

        Args:
            origins: shape [n x 3].
            rays: Directions of any length, shape [n x 3].

        Returns:
            How many lengths of the ray from its origin, shape [n]; infinite for a miss.
        """
        to_unit = (self.turn / self.half).T
        o, d = to_unit @ (origins - self.centre).T, to_unit @ rays.T
        with np.errstate(divide='ignore', invalid='ignore'):
            if self.shape == SPHERE:
                enter, leave = _within_unit(o, d)
            elif self.shape == CYLINDER:
                round_in, round_out = _within_unit(o[::2], d[::2])
                flat_in, flat_out = _between_units(o[1], d[1])
                enter, leave = np.maximum(round_in, flat_in), np.minimum(round_out, flat_out)
            else:
                all_in, all_out = _between_units(o, d)
                enter, leave = all_in.max(0), all_out.min(0)
            return np.where((enter < leave) & (enter > EPSILON), enter, np.inf)

    def surface(self, points: Array) -> tuple[Array, Array]:
        """What texture and shading need of points on the surface.

        Args:
            points: shape [n x 3].

        Returns:
            The points in the solid's frame, in metres, and the unit normals there, [n x 3] each.
        """
        own = (points - self.centre) @ self.turn
        unit = own / self.half
        flat = np.zeros_like(unit)
        if self.shape == BOX:
            axis = np.abs(unit).argmax(1)[:, None]
            np.put_along_axis(flat, axis, np.sign(np.take_along_axis(unit, axis, 1)), 1)
            return own, flat
        side = unit / self.half
        if self.shape == CYLINDER:
            flat[:, 1] = np.sign(unit[:, 1])
            side[:, 1] = 0
            top = np.abs(unit[:, 1]) > np.hypot(unit[:, 0], unit[:, 2])
            side = np.where(top[:, None], flat, side)
        return own, side / np.linalg.norm(side, axis=1, keepdims=True)


def _within_unit(o: Array, d: Array) -> tuple[Array, Array]:
    """Entry and exit of the unit ball in as many dimensions as there are rows."""
    a, b, c = (d * d).sum(0), (o * d).sum(0), (o * o).sum(0) - 1
    root = np.sqrt(b * b - a * c)  # NaN for a miss: no comparison with it holds
    return (-b - root) / a, (-b + root) / a


def _between_units(o: Array, d: Array) -> tuple[Array, Array]:
    """Entry and exit of the slab from -1 to 1."""
    one, other = (-1 - o) / d, (1 - o) / d
    return np.minimum(one, other), np.maximum(one, other)


@dataclass(frozen=True)
class Thing:
    """Solids that stand together.

    Args:
        solids: What it is made of.
        outline: The rectangle that it takes on the floor, corners (x, z) in turn, shape [4 x 2].
        rise: Its lowest and highest y.
        tops: Rectangles on which something may stand: middle (x, y, z) and half sizes (x, z) in
            the thing's own frame, shape [5] each.
        turn: Its own frame's axes as columns, shape [3 x 3].
    """

    solids: tuple[Solid, ...]
    outline: Array
    rise: tuple[float, float]
    tops: tuple[Array, ...] = ()
    turn: Array = field(default_factory=lambda: np.eye(3))

    @classmethod
    def of(cls, solids: Sequence[Solid], tops: Sequence[Array] = (), clear: float = 0) -> 'Thing':
        """Put solids together.

        Args:
            solids: At least one.
            tops: Where something may stand.
            clear: Room that it needs in front.

        Returns:
            The thing, in its own frame.
        """
        corners = np.concatenate([solid.corners() for solid in solids])
        (x0, y0, z0), (x1, y1, z1) = corners.min(0), corners.max(0)
        outline = np.array([[x0, z0], [x1, z0], [x1, z1 + clear], [x0, z1 + clear]])
        return cls(tuple(solids), outline, (float(y0), float(y1)), tuple(tops))

    @property
    def half(self) -> Array:
        """Half its width and depth, shape [2]."""
        return np.array([np.linalg.norm(self.outline[i] - self.outline[i + 1]) / 2 for i in (0, 1)])

    def moved(self, angle: float, by: Array) -> 'Thing':
        """The thing, turned by ``angle`` about the vertical and then shifted by ``by``, [3]."""
        turn = turn_y(angle)
        flat = turn[::2, ::2]
        return replace(
            self,
            solids=tuple(solid.moved(turn, by) for solid in self.solids),
            outline=self.outline @ flat.T + by[::2],
            rise=(self.rise[0] + by[1], self.rise[1] + by[1]),
            tops=tuple(np.concatenate([turn @ top[:3] + by, top[3:]]) for top in self.tops),
            turn=turn @ self.turn,
        )

    def meets(self, other: 'Thing') -> bool:
        """Whether the boxes about two things overlap."""
        (low, high), (other_low, other_high) = self.rise, other.rise
        if min(high, other_high) - max(low, other_low) < 1e-3:
            return False
        # Two rectangles are apart where a line along a side of one of them parts them.
        for outline in (self.outline, other.outline):
            for side in (outline[1] - outline[0], outline[2] - outline[1]):
                side = side / np.linalg.norm(side)
                a, b = self.outline @ side, other.outline @ side
                if min(a.max(), b.max()) - max(a.min(), b.min()) < 1e-3:
                    return False
        return True


def trace(origins: Array, rays: Array, things: Sequence[Thing]) -> tuple[Array, NDArray[np.int64]]:
    """What rays meet first.

    Args:
        origins: shape [n x 3].
        rays: Directions of any length, shape [n x 3].
        things: What there is to meet.

    Returns:
        The distance in lengths of the ray, infinite where it meets nothing, and which solid it
        meets, counted over all the things, -1 for none; shape [n] each.
    """
    distance, solid = np.full(len(rays), np.inf), np.full(len(rays), -1)
    first = 0
    # Most rays miss most things: a sphere about the thing and one about the solid tell it sooner.
    balls = [_ball(thing) for thing in things]
    centres, radii = np.array([b[0] for b in balls]), np.array([b[1] for b in balls])
    passing = _pass(origins, rays, centres.reshape(-1, 3), radii)
    for thing, near_thing in zip(things, passing, strict=True):
        rays_there = np.flatnonzero(near_thing)
        o, d = origins[rays_there], rays[rays_there]
        centres = np.array([s.centre for s in thing.solids])
        near_solids = _pass(o, d, centres, np.array([s.radius for s in thing.solids]))
        for number, (piece, near) in enumerate(zip(thing.solids, near_solids, strict=True)):
            chosen = np.flatnonzero(near)
            t = piece.enter(o[chosen], d[chosen])
            at = rays_there[chosen]
            closer = t < distance[at]
            distance[at[closer]], solid[at[closer]] = t[closer], first + number
        first += len(thing.solids)
    return distance, solid


def _ball(thing: Thing) -> tuple[Array, float]:
    corners = np.concatenate([solid.corners() for solid in thing.solids])
    centre = (corners.min(0) + corners.max(0)) / 2
    return centre, float(np.linalg.norm(corners - centre, axis=1).max())


def _pass(origins: Array, rays: Array, centres: Array, radii: Array) -> NDArray[np.bool_]:
    """Whether the line of each of n rays passes through each of k balls, shape [k x n]."""
    along = centres @ rays.T - _dots(rays, origins)
    outside = (centres**2).sum(1, keepdims=True) - 2 * centres @ origins.T - radii[:, None] ** 2
    outside += _dots(origins, origins)
    passing = along**2 >= outside * _dots(rays, rays)
    passing &= (along > 0) | (outside < 0)
    return passing


def _dots(a: Array, b: Array) -> Array:
    return np.einsum('ij,ij->i', a, b)
