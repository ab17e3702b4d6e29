"""What the builders of things share: solids by where they stand, and what surfaces are made of."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .solids import BOX, CYLINDER, SPHERE, Solid, Thing
from .textures import Array, Texture, any_colour, laid, mottled, plain, striped, wood, wood_colour

Build = Callable[[np.random.Generator], Thing]
Point = tuple[float, float, float]


def _standing(
    shape: str, label: int, texture: Texture, size: Sequence[float], at: Point, **more: Any
) -> Solid:
    half = np.array(size, float) / 2
    centre = np.array([at[0], at[1] + half[1], at[2]], float)
    return Solid(shape, centre, half, label, texture, **more)


def box(label: int, texture: Texture, size: Sequence[float], at: Point, **more: Any) -> Solid:
    """A box of a width, height and depth; ``at`` is the middle of its bottom."""
    return _standing(BOX, label, texture, size, at, **more)


def cylinder(
    label: int, texture: Texture, radius: float, height: float, at: Point, **more: Any
) -> Solid:
    """An upright cylinder; ``at`` is the middle of its bottom."""
    size = (2 * radius, height, 2 * radius)
    return _standing(CYLINDER, label, texture, size, at, **more)


def ball(label: int, texture: Texture, size: Sequence[float], at: Point, **more: Any) -> Solid:
    """An ellipsoid of a width, height and depth; ``at`` is its lowest point."""
    return _standing(SPHERE, label, texture, size, at, **more)


def legs(
    rng: np.random.Generator, label: int, texture: Texture, size: tuple[float, float], height: float
) -> list[Solid]:
    """Four legs under a width and depth, round or square."""
    thick, is_round = rng.uniform(0.03, 0.07), rng.random() < 0.4
    x, z = (side / 2 - thick / 2 for side in size)
    places: list[Point] = [(sx * x, 0.0, sz * z) for sx in (-1, 1) for sz in (-1, 1)]
    if is_round:
        return [cylinder(label, texture, thick / 2, height, at) for at in places]
    return [box(label, texture, (thick, height, thick), at) for at in places]


def top(x: float, y: float, z: float, width: float, depth: float) -> Array:
    """A rectangle on which something may stand, as :class:`Thing` has it."""
    return np.array([x, y, z, width / 2, depth / 2])


def cloth(rng: np.random.Generator, colour: Array | None = None) -> Texture:
    """Draw a cloth."""
    colour = any_colour(rng) if colour is None else colour
    match rng.integers(4):
        case 0:
            return plain(rng, colour)
        case 1:
            return striped(rng, colour, any_colour(rng), rng.uniform(0.05, 0.25))
        case 2:
            return striped(rng, colour, any_colour(rng), rng.uniform(0.08, 0.25), crossed=True)
    return mottled(rng, colour)


def board(rng: np.random.Generator) -> Texture:
    """Draw timber, or paint."""
    return (wood if rng.random() < 0.7 else plain)(rng, wood_colour(rng))


def flooring(rng: np.random.Generator) -> Texture:
    """Draw a floor: planks, tiles, carpet or bare."""
    colour = wood_colour(rng)
    kind = rng.random()
    if kind < 0.4:
        size = (rng.uniform(0.7, 1.6), rng.uniform(0.08, 0.2))
        return laid(rng, (colour, colour), 0.4 * colour, size, True, rng.uniform(0.05, 0.25))
    colour = any_colour(rng)
    if kind < 0.7:
        other = any_colour(rng) if rng.random() < 0.3 else colour
        side = rng.uniform(0.2, 0.6)
        return laid(rng, (colour, other), any_colour(rng), (side, side), False, 0.06)
    return (mottled if kind < 0.92 else plain)(rng, colour)


def walling(rng: np.random.Generator) -> Texture:
    """Draw a wall: paint, plaster, wallpaper, bricks or panels."""
    colour = any_colour(rng, (0.4, 0.95), 0.6)
    kind = rng.random()
    if kind < 0.2:
        near = (colour + 0.4 * any_colour(rng, (0.4, 0.95))) / 1.4
        return striped(rng, colour, near, rng.uniform(0.08, 0.4))
    if kind < 0.3:
        return laid(rng, (colour, colour), 1.2 * colour.clip(0, 0.8), (0.25, 0.08), True, 0.2)
    if kind < 0.4:
        colour = wood_colour(rng)
        return laid(rng, (colour, colour), 0.4 * colour, (2.5, rng.uniform(0.1, 0.3)), True, 0.1)
    return (mottled if kind < 0.6 else plain)(rng, colour)


def ceiling_cover(rng: np.random.Generator) -> Texture:
    """Draw a ceiling: mostly white, or an office's panels, or boards."""
    kind = rng.random()
    if kind < 0.2:
        return walling(rng)
    colour = any_colour(rng, (0.75, 1.0), 0.3)
    if kind < 0.4:
        return laid(rng, (colour, colour), 0.6 * colour, (0.6, 0.6), False, 0.03)
    return plain(rng, colour)
