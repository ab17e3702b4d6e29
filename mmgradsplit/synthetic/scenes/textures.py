"""Colours and patterns of surfaces.

A texture maps points in a solid's own frame, in metres, and the unit normals there, [n x 3] each,
to linear red, green and blue, [n x 3], 0 to 1.
"""

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Texture = Callable[[Array, Array], Array]

GAMMA = 2.2


def any_colour(
    rng: np.random.Generator, light: tuple[float, float] = (0.2, 0.9), vivid: float = 0.8
) -> Array:
    """Draw a colour: more often pale than vivid, more often warm than cold.

    Args:
        rng: Source of randomness.
        light: Range of the brightness.
        vivid: The highest saturation.

    Returns:
        Linear red, green and blue, shape [3].
    """
    hue = rng.normal(0.08, 0.07) if rng.random() < 0.5 else rng.random()
    rgb = colorsys.hsv_to_rgb(hue % 1, vivid * rng.beta(1.3, 2.5), rng.uniform(*light))
    return np.array(rgb) ** GAMMA


def wood_colour(rng: np.random.Generator) -> Array:
    """Draw the colour of timber, from birch to walnut, or of paint, shape [3]."""
    if rng.random() < 0.3:
        return any_colour(rng)
    rgb = colorsys.hsv_to_rgb(
        rng.uniform(0.04, 0.11), rng.uniform(0.2, 0.7), rng.uniform(0.25, 0.9)
    )
    return np.array(rgb) ** GAMMA


def _flat(points: Array, normals: Array) -> tuple[Array, Array]:
    """Coordinates on the face of a box: across and up; on a level face, x and z."""
    axis = np.abs(normals).argmax(1)
    across = np.where(axis == 0, points[:, 2], points[:, 0])
    return across, np.where(axis == 1, points[:, 2], points[:, 1])


def _ripple(
    rng: np.random.Generator, metres: float | tuple[float, float, float]
) -> Callable[[Array], Array]:
    """A smooth random function of points [n x 3] with a mean square of about a half.

    Args:
        rng: Source of randomness.
        metres: Size of its bumps, in all or in each direction.
    """
    frequency = 2 * rng.standard_normal((3, 5)) / np.broadcast_to(metres, 3)[:, None]
    phase = rng.uniform(0, 2 * np.pi, 5)
    return lambda points: np.sin(points @ frequency + phase).sum(1) / np.sqrt(5)


def plain(rng: np.random.Generator, colour: Array) -> Texture:
    """Paint: one colour with faint, wide stains."""
    stains = _ripple(rng, 0.5)
    return lambda points, normals: colour * (1 + 0.04 * stains(points))[:, None]


def mottled(rng: np.random.Generator, colour: Array) -> Texture:
    """Carpet, plaster or cloth: bumps of two sizes."""
    size, strength = rng.uniform(0.015, 0.06), rng.uniform(0.1, 0.3)
    fine, wide = _ripple(rng, size), _ripple(rng, 5 * size)
    return lambda points, normals: (
        colour * (1 + strength * (fine(points) + 0.5 * wide(points)).clip(-2, 2))[:, None]
    )


def wood(rng: np.random.Generator, colour: Array) -> Texture:
    """Veneer: grain along one of the axes."""
    stretch = [0.06, 0.06, 0.06]
    stretch[rng.integers(3)] = 0.8
    bend = _ripple(rng, (stretch[0], stretch[1], stretch[2]))
    rings, strength = rng.uniform(1, 3), rng.uniform(0.05, 0.2)
    return lambda points, normals: (
        colour * (1 + strength * np.sin(rings * np.pi * bend(points)))[:, None]
    )


def laid(
    rng: np.random.Generator,
    colours: tuple[Array, Array],
    joint: Array,
    size: tuple[float, float],
    shifted: bool,
    spread: float,
) -> Texture:
    """Planks, bricks or tiles.

    Args:
        rng: Source of randomness.
        colours: Colours of every other tile; twice the same for planks and bricks.
        joint: Colour between them.
        size: Length and width of one.
        shifted: Whether a row is shifted against the next.
        spread: How much their brightness differs.

    Returns:
        The texture.
    """
    tones = 1 + spread * rng.uniform(-1, 1, 256)
    shifts = rng.random(64) * shifted
    gap = min(0.012, 0.06 * min(size))
    turned = rng.random() < 0.5

    def texture(points: Array, normals: Array) -> Array:
        across, up = _flat(points, normals)
        if turned:  # on walls, planks stand
            across, up = up, across
        row = np.floor(up / size[1]).astype(int)
        place = across / size[0] + shifts[row % 64]
        column = np.floor(place).astype(int)
        edge = np.minimum((place - column) * size[0], up - row * size[1])
        colour = np.where(((row + column) % 2 == 0)[:, None], *colours)
        colour = colour * tones[(37 * row + 101 * column) % 256][:, None]
        return np.where((edge < gap)[:, None], joint, colour)

    return texture


def striped(
    rng: np.random.Generator, colour: Array, other: Array, width: float, crossed: bool = False
) -> Texture:
    """Upright stripes, or a plaid.

    Args:
        rng: Source of randomness.
        colour: Colour of the ground.
        other: Colour of the stripes.
        width: From stripe to stripe.
        crossed: Whether stripes run across, too.

    Returns:
        The texture.
    """
    share = rng.uniform(0.2, 0.6)

    def texture(points: Array, normals: Array) -> Array:
        across, up = _flat(points, normals)
        cover = 1.0 * ((across / width) % 1 < share)
        if crossed:
            cover = (cover + ((up / width) % 1 < share)) / 2
        return colour + (other - colour) * cover[:, None]

    return texture


def spines(rng: np.random.Generator, length: float, axis: int) -> Texture:
    """Backs of books, side by side.

    Args:
        rng: Source of randomness.
        length: Length of the row.
        axis: Along which it runs: 0 for a row on a shelf, 1 for a stack.

    Returns:
        The texture.
    """
    ends = np.cumsum(rng.uniform(0.02, 0.06, int(length / 0.02) + 1)) - length / 2
    colours = np.array([any_colour(rng, (0.1, 0.95), 1.0) for _ in range(len(ends) + 1)])
    bands = rng.uniform(-0.06, 0.06, len(colours))

    def texture(points: Array, normals: Array) -> Array:
        book = np.searchsorted(ends, points[:, axis])
        colour = colours[book]
        band = np.abs(points[:, 1 - axis] - bands[book]) < 0.012
        crease = np.abs(points[:, axis] - ends[np.minimum(book, len(ends) - 1)]) < 0.004
        colour = np.where(band[:, None], 0.6 - 0.4 * colour, colour)
        return np.where(crease[:, None], 0.3 * colour, colour)

    return texture


def painted(rng: np.random.Generator, half: Array) -> Texture:
    """A picture: discs and bars on a ground that changes from the bottom to the top.

    Args:
        rng: Source of randomness.
        half: Half the width and height, shape [2].

    Returns:
        The texture, on the faces along z.
    """
    low, high = any_colour(rng), any_colour(rng)
    marks = [
        (rng.uniform(-1, 1, 2), rng.uniform(0.1, 0.6, 2), rng.random() < 0.6, any_colour(rng))
        for _ in range(rng.integers(2, 7))
    ]

    def texture(points: Array, normals: Array) -> Array:
        at = points[:, :2] / half
        colour = low + (high - low) * (at[:, 1:] + 1) / 2
        for middle, size, is_round, of in marks:
            away = np.abs(at - middle) / size
            inside = np.hypot(*away.T) < 1 if is_round else away.max(1) < 1
            colour = np.where(inside[:, None], of, colour)
        return colour

    return texture


def outdoors(rng: np.random.Generator, half_height: float) -> Texture:
    """What a window shows: a sky above a dark skyline, or night."""
    day = rng.random() < 0.8
    sky = np.array([0.75, 0.85, 1.0]) * rng.uniform(0.6, 1) if day else np.full(3, 0.02)
    ground = any_colour(rng, (0.1, 0.5))
    skyline = half_height * rng.uniform(-1, 0.3)
    hills = _ripple(rng, rng.uniform(0.1, 0.5))

    def texture(points: Array, normals: Array) -> Array:
        line = skyline + 0.1 * hills(points * [1, 0, 1])
        return np.where((points[:, 1] > line)[:, None], sky, ground)

    return texture
