"""The shell of a room and what hangs on its walls.

A wall's thing is drawn with its back at the wall, z = 0, at the height where it hangs.
"""

import numpy as np

from .clutter import screen
from .furniture import books
from .names import label
from .parts import board, box, ceiling_cover, cloth, flooring, walling
from .solids import Solid, Thing
from .textures import any_colour, laid, outdoors, painted, plain

THICK = 0.2  # of the shell, outside the room
IN_FRONT = 0.45  # what a wall's thing keeps free, so that nothing high hides it


def shell(rng: np.random.Generator, width: float, height: float, depth: float) -> Thing:
    """Floor, ceiling and four walls about the room from (0, 0, 0) to (width, height, depth)."""
    wall, floor, ceiling = label('wall'), label('floor'), label('ceiling')
    paper = walling(rng)
    papers = [walling(rng) if rng.random() < 0.2 else paper for _ in range(4)]
    skirting = board(rng)
    whole = (width + 2 * THICK, THICK, depth + 2 * THICK)
    middle = (width / 2, depth / 2)
    solids = [
        box(floor, flooring(rng), whole, (middle[0], -THICK, middle[1])),
        box(ceiling, ceiling_cover(rng), whole, (middle[0], height, middle[1])),
    ]
    for k, (x, z) in enumerate(((-THICK / 2, middle[1]), (width + THICK / 2, middle[1]))):
        solids.append(box(wall, papers[k], (THICK, height, depth), (x, 0, z)))
        solids.append(box(wall, skirting, (THICK + 0.02, 0.08, depth), (x, 0, z)))
    for k, (x, z) in enumerate(((middle[0], -THICK / 2), (middle[0], depth + THICK / 2)), 2):
        solids.append(box(wall, papers[k], (width, height, THICK), (x, 0, z)))
        solids.append(box(wall, skirting, (width, 0.08, THICK + 0.02), (x, 0, z)))
    return Thing.of(solids)


def pillar(rng: np.random.Generator, height: float) -> Thing:
    """A part of the wall that stands out into the room."""
    size = (rng.uniform(0.3, 1.2), height, rng.uniform(0.2, 0.6))
    return Thing.of([box(label('wall'), walling(rng), size, (0, 0, 0))])


def picture(rng: np.random.Generator) -> Thing:
    """A picture in a frame, or a poster without."""
    of, (width, height) = label('picture'), rng.uniform(0.3, 1.0, 2)
    low = rng.uniform(1.45, 1.75) - height / 2
    canvas = np.array([width, height])
    solids = []
    if rng.random() < 0.8:
        canvas -= rng.uniform(0.04, 0.12)
        solids.append(box(of, board(rng), (width, height, 0.025), (0, low, 0.0125)))
    at = (0, low + (height - canvas[1]) / 2, 0.017)
    solids.append(box(of, painted(rng, canvas / 2), (*canvas, 0.03), at))
    return Thing.of(solids, clear=IN_FRONT)


def wall_television(rng: np.random.Generator) -> Thing:
    """A screen that hangs on the wall."""
    return Thing.of(screen(rng, rng.uniform(0.7, 1.3), rng.uniform(1.0, 1.4)), clear=IN_FRONT)


def wall_shelf(rng: np.random.Generator) -> Thing:
    """A board on the wall with books."""
    width, low, depth = rng.uniform(0.6, 1.4), rng.uniform(1.2, 1.6), 0.24
    shelf = box(label('furniture'), board(rng), (width, 0.03, depth), (0, low, depth / 2))
    on = books(rng, width, 0.35, depth, (0, low + 0.03, depth / 2))
    return Thing.of([shelf, *on], clear=IN_FRONT)


def door(rng: np.random.Generator) -> Thing:
    """A door, which belongs to the wall."""
    of, leaf = label('wall'), board(rng)
    width, height = rng.uniform(0.8, 0.95), rng.uniform(1.98, 2.1)
    knob = plain(rng, any_colour(rng))
    return Thing.of(
        [
            box(of, board(rng), (width + 0.16, height + 0.08, 0.03), (0, 0, 0.015)),
            box(of, leaf, (width, height, 0.05), (0, 0, 0.025)),
            box(of, knob, (0.1, 0.03, 0.06), (0.4 * width, 1.0, 0.08)),
        ],
        clear=IN_FRONT,
    )


def window(rng: np.random.Generator) -> Thing:
    """Panes in a frame, with curtains or a blind or without."""
    of, frame = label('window'), plain(rng, any_colour(rng, (0.4, 1.0), 0.4))
    width, height = rng.uniform(0.7, 2.0), rng.uniform(0.8, 1.35)
    low = rng.uniform(0.75, 1.0)
    view, glow = outdoors(rng, height / 2), rng.uniform(1.0, 2.5)
    solids = [
        box(of, frame, (width, height, 0.05), (0, low, 0.025)),
        box(of, frame, (width + 0.1, 0.04, 0.14), (0, low - 0.04, 0.07)),
    ]
    panes, rows = max(1, round(width / rng.uniform(0.45, 0.8))), int(rng.integers(1, 3))
    wide, high = width / panes, height / rows
    for column in range(panes):
        for row in range(rows):
            at = ((column + 0.5) * wide - width / 2, low + row * high + 0.03, 0.03)
            pane = (wide - 0.07, high - 0.06, 0.045)
            solids.append(box(of, view, pane, at, glow=glow, glass=True))
    dressing = rng.random()
    if dressing < 0.45:
        solids += _curtains(rng, width, low, height)
    elif dressing < 0.65:
        colour = any_colour(rng, (0.4, 1.0))
        blind = laid(rng, (colour, colour), 0.5 * colour, (3.0, 0.06), False, 0.03)
        drop = height * rng.uniform(0.25, 0.95)
        at = (0, low + height - drop + 0.04, 0.08)
        solids.append(box(of, blind, (width + 0.04, drop, 0.02), at))
    return Thing.of(solids, clear=IN_FRONT)


def _curtains(rng: np.random.Generator, width: float, low: float, height: float) -> list[Solid]:
    """A curtain at each side, of folds, on a rail."""
    of, fabric = label('window'), cloth(rng)
    high = low + height + 0.12
    bottom = 0.05 if rng.random() < 0.4 else low - 0.15
    rail = box(of, board(rng), (width + 0.5, 0.03, 0.03), (0, high, 0.11))
    solids = [rail]
    for side in (-1, 1):
        for fold in range(rng.integers(2, 6)):
            x = side * (width / 2 + 0.16 - 0.09 * fold)
            turn_in = 0.085 if fold % 2 else 0.115
            solids.append(box(of, fabric, (0.095, high - bottom, 0.03), (x, bottom, turn_in)))
    return solids
