"""Small things, television sets, and heaps without a label.

Each function draws one in its own frame: it stands on y = 0, its back is towards -z.
"""

import numpy as np

from .names import UNLABELLED, label
from .parts import Build, ball, board, box, cloth, cylinder
from .solids import Solid, Thing, turn_y
from .textures import Texture, any_colour, mottled, painted, plain, spines, striped

OBJECT = label('objects')


def _finish(rng: np.random.Generator) -> Texture:
    colour = any_colour(rng, (0.1, 0.95), 1.0)
    if rng.random() < 0.25:
        return striped(rng, colour, any_colour(rng), rng.uniform(0.03, 0.1))
    return (plain if rng.random() < 0.7 else mottled)(rng, colour)


def ball_toy(rng: np.random.Generator) -> Thing:
    """A ball."""
    size = rng.uniform(0.12, 0.45)
    return Thing.of([ball(OBJECT, _finish(rng), (size, size, size), (0, 0, 0))])


def bowl(rng: np.random.Generator) -> Thing:
    """A small ball or a flat bowl."""
    size = rng.uniform(0.1, 0.26)
    texture = _finish(rng)
    return Thing.of([ball(OBJECT, texture, (size, size * rng.uniform(0.5, 1), size), (0, 0, 0))])


def vase(rng: np.random.Generator) -> Thing:
    """A vase: a belly and a neck, or a plain cylinder."""
    texture, height, wide = _finish(rng), rng.uniform(0.15, 0.4), rng.uniform(0.08, 0.2)
    if rng.random() < 0.4:
        return Thing.of([cylinder(OBJECT, texture, wide / 2, height, (0, 0, 0))])
    belly = (wide, 0.7 * height, wide)
    neck = cylinder(OBJECT, texture, wide / 5, 0.4 * height, (0, 0.6 * height, 0))
    foot = cylinder(OBJECT, texture, wide / 4, 0.02, (0, 0, 0))
    return Thing.of([ball(OBJECT, texture, belly, (0, 0.005, 0)), neck, foot])


def lamp(rng: np.random.Generator, height: float | None = None) -> Thing:
    """A lamp with a shade, for a table unless it is higher."""
    height = rng.uniform(0.35, 0.6) if height is None else height
    shade, metal = plain(rng, any_colour(rng, (0.6, 1.0), 0.5)), plain(rng, any_colour(rng))
    wide = rng.uniform(0.11, 0.2)
    glow = rng.uniform(0.3, 1.2) if rng.random() < 0.5 else 0.0
    high = rng.uniform(0.18, 0.28)
    pole = rng.uniform(0.01, 0.025)
    return Thing.of(
        [
            cylinder(OBJECT, metal, 0.7 * wide, 0.03, (0, 0, 0)),
            cylinder(OBJECT, metal, pole, height - high, (0, 0.03, 0)),
            cylinder(OBJECT, shade, wide, high, (0, height - high, 0), glow=glow),
        ]
    )


def floor_lamp(rng: np.random.Generator) -> Thing:
    """A lamp that stands on the floor."""
    return lamp(rng, rng.uniform(1.3, 1.75))


def plant(rng: np.random.Generator) -> Thing:
    """A pot with leaves."""
    size = rng.uniform(0.25, 1.1)
    pot = (0.22 * size, 0.3 * size)
    green = np.array([0.15, 0.35, 0.1]) * rng.uniform(0.3, 1.3, 3)
    leaves = mottled(rng, green)
    solids: list[Solid] = [cylinder(OBJECT, _finish(rng), *pot, (0, 0, 0))]
    for _ in range(rng.integers(4, 9)):
        x, z = rng.normal(0, 0.16 * size, 2).clip(-0.3 * size, 0.3 * size)
        tall, wide = rng.uniform(0.25, 0.6) * size, rng.uniform(0.12, 0.35) * size
        at = (float(x), rng.uniform(0.22, 0.4) * size, float(z))
        solids.append(ball(OBJECT, leaves, (wide, tall, wide), at))
    return Thing.of(solids)


def bin_(rng: np.random.Generator) -> Thing:
    """A bin or a basket."""
    return Thing.of(
        [cylinder(OBJECT, _finish(rng), rng.uniform(0.12, 0.2), rng.uniform(0.25, 0.5), (0, 0, 0))]
    )


def carton(rng: np.random.Generator, most: float = 0.5) -> Thing:
    """A box, or two."""
    texture = _finish(rng)
    width, height, depth = rng.uniform(0.3, 1.0, 3) * most
    solids = [box(OBJECT, texture, (width, height, depth), (0, 0, 0))]
    if rng.random() < 0.4:
        small = (0.7 * width, 0.6 * height, 0.7 * depth)
        turn = turn_y(rng.uniform(-0.5, 0.5))
        solids.append(box(OBJECT, _finish(rng), small, (0, height, 0), turn=turn))
    return Thing.of(solids)


def small_carton(rng: np.random.Generator) -> Thing:
    """A box for a table."""
    return carton(rng, 0.25)


def bottles(rng: np.random.Generator) -> Thing:
    """Bottles or cups in a group."""
    solids = []
    for i in range(rng.integers(2, 5)):
        texture, height = _finish(rng), rng.uniform(0.08, 0.3)
        at = (0.09 * (i // 2), 0.0, 0.09 * (i % 2))
        solids.append(cylinder(OBJECT, texture, rng.uniform(0.025, 0.042), height, at))
    return Thing.of(solids)


def book_stack(rng: np.random.Generator) -> Thing:
    """Books that lie on one another."""
    high = rng.uniform(0.05, 0.3)
    width, depth = rng.uniform(0.18, 0.3), rng.uniform(0.15, 0.24)
    return Thing.of([box(label('books'), spines(rng, high, 1), (width, high, depth), (0, 0, 0))])


def book_row(rng: np.random.Generator) -> Thing:
    """Books that stand side by side."""
    size = (rng.uniform(0.2, 0.5), rng.uniform(0.18, 0.3), rng.uniform(0.14, 0.22))
    return Thing.of([box(label('books'), spines(rng, size[0], 0), size, (0, 0, 0))])


def screen(rng: np.random.Generator, width: float, low: float, back: float = 0.0) -> list[Solid]:
    """A flat screen, dark or on.

    Args:
        rng: Source of randomness.
        width: Width of the set.
        low: Height of its lower edge.
        back: z of its back.

    Returns:
        The case and the glass.
    """
    of, height, thick = label('tv'), 0.6 * width, rng.uniform(0.04, 0.09)
    case = plain(rng, any_colour(rng, (0.03, 0.35), 0.2))
    on = rng.random() < 0.35
    glass = np.array([width, height]) - rng.uniform(0.03, 0.07)
    shown = painted(rng, glass / 2) if on else plain(rng, any_colour(rng, (0.02, 0.2), 0.4))
    return [
        box(of, case, (width, height, thick), (0, low, back + thick / 2)),
        box(of, shown, (*glass, 0.006), (0, low + (height - glass[1]) / 2, back + thick),
            glow=0.8 if on else 0.0, glass=True),
    ]  # fmt: skip


def television(rng: np.random.Generator) -> Thing:
    """A set on a foot, for a cabinet, or a screen for a desk."""
    of, width = label('tv'), rng.uniform(0.5, 1.1)
    case = plain(rng, any_colour(rng, (0.03, 0.35), 0.2))
    foot = box(of, case, (0.4 * width, 0.02, 0.2), (0, 0, 0))
    neck = box(of, case, (0.08, 0.12, 0.04), (0, 0, -0.01))
    return Thing.of([foot, neck, *screen(rng, width, rng.uniform(0.06, 0.1))])


def tube_television(rng: np.random.Generator) -> Thing:
    """A set with a deep case."""
    of, width = label('tv'), rng.uniform(0.4, 0.7)
    case = plain(rng, any_colour(rng, (0.05, 0.5), 0.2))
    rear = box(of, case, (0.7 * width, 0.5 * width, 0.2), (0, 0.1 * width, -0.1))
    return Thing.of([rear, *screen(rng, width, 0.0)])


def unknown(rng: np.random.Generator) -> Thing:
    """A heap that nobody has labelled: it looks like an object or like furniture."""
    solids = []
    for i in range(rng.integers(2, 5)):
        texture = (_finish, board, cloth)[rng.integers(3)](rng)
        size = rng.uniform(0.15, 0.6, 3)
        x, low = rng.uniform(-0.2, 0.2), rng.uniform(0, 0.12) if i else 0.0
        at = (x, low, rng.uniform(-0.2, 0.2))
        turn = turn_y(rng.uniform(0, np.pi))
        shape = box if rng.random() < 0.6 else ball
        solids.append(shape(UNLABELLED, texture, size.tolist(), at, turn=turn))
    return Thing.of(solids)


ON_TABLES: tuple[Build, ...] = (
    bowl, vase, lamp, small_carton, bottles, book_stack, book_stack, book_row,
)  # fmt: skip
ON_FLOOR: tuple[Build, ...] = (ball_toy, bin_, carton, floor_lamp, plant, plant, book_stack, vase)
SETS: tuple[Build, ...] = (television, television, tube_television)
