"""Beds, sofas, chairs, tables, cabinets and shelves.

Each function draws one in its own frame: it stands on y = 0, its back is towards -z.
"""

import numpy as np

from .names import label
from .parts import ball, board, box, cloth, cylinder, legs, top
from .solids import Solid, Thing
from .textures import Texture, any_colour, mottled, plain, spines


def bed(rng: np.random.Generator) -> Thing:
    """A mattress on a frame with pillows, a blanket and a headboard."""
    of = label('bed')
    width, length = rng.uniform(0.9, 1.8), rng.uniform(1.9, 2.15)
    low, thick = rng.uniform(0.12, 0.3), rng.uniform(0.15, 0.28)
    height = low + thick
    frame = board(rng) if rng.random() < 0.7 else cloth(rng)
    sheet, blanket = cloth(rng, any_colour(rng, (0.6, 0.95))), cloth(rng)
    solids = [
        box(of, sheet, (width - 0.04, thick, length - 0.04), (0, low, 0)),
        box(of, frame, (width + 0.06, rng.uniform(0.7, 1.3), 0.06), (0, 0, -length / 2 - 0.03)),
    ]
    if rng.random() < 0.6:
        solids.append(box(of, frame, (width, low - 0.001, length), (0, 0, 0)))
    else:
        solids += legs(rng, of, frame, (width, length), low)
        solids.append(box(of, frame, (width, 0.08, length), (0, low - 0.079, 0)))
    share = rng.uniform(0.5, 0.8)
    hang = rng.uniform(0.05, thick)
    covered = (width + 0.02, hang + 0.03, share * length)
    solids.append(box(of, blanket, covered, (0, height - hang, (1 - share) * length / 2)))
    if rng.random() < 0.3:
        solids.append(box(of, frame, (width, height + 0.15, 0.05), (0, 0, length / 2 + 0.03)))
    pillow = cloth(rng, any_colour(rng, (0.5, 0.95)))
    wide = min(0.65, 0.45 * width + 0.1)
    for x in (-width / 4, width / 4) if width > 1.2 else (0.0,):
        size = (wide, 0.17, 0.42)
        solids.append(ball(of, pillow, size, (x, height - 0.03, -length / 2 + 0.28)))
    return Thing.of(solids)


def sofa(rng: np.random.Generator) -> Thing:
    """A base, a back, arms and cushions for one to three."""
    of = label('sofa')
    seats = int(rng.integers(1, 4))
    arm, seat = rng.uniform(0.1, 0.22), rng.uniform(0.55, 0.75)
    depth, height = rng.uniform(0.8, 1.0), rng.uniform(0.38, 0.46)
    width, feet = seats * seat + 2 * arm, rng.uniform(0.0, 0.12)
    cover = cloth(rng)
    cushion = cover if rng.random() < 0.6 else cloth(rng)
    back = rng.uniform(0.16, 0.26)
    solids = [
        box(of, cover, (width, height - 0.12 - feet, depth), (0, feet, 0)),
        box(of, cover, (width, rng.uniform(0.72, 0.95) - feet, back),
            (0, feet, (back - depth) / 2)),
    ]  # fmt: skip
    solids += legs(rng, of, board(rng), (width - 0.05, depth - 0.05), feet + 0.01)
    high = rng.uniform(0.55, 0.68)
    for side in (-1, 1):
        x = side * (width - arm) / 2
        solids.append(box(of, cover, (arm, high - feet, depth), (x, feet, 0)))
        if rng.random() < 0.5:
            roll = (1.2 * arm, 0.8 * arm, depth)
            solids.append(ball(of, cover, roll, (x, high - 0.4 * arm, 0)))
    for i in range(seats):
        x = (i - (seats - 1) / 2) * seat
        on = (seat - 0.015, 0.13, depth - back)
        solids.append(box(of, cushion, on, (x, height - 0.12, back / 2)))
        if rng.random() < 0.4:
            loose = cloth(rng)
            at = (x, height, back - depth / 2 + 0.08)
            solids.append(ball(of, loose, (0.42, 0.4, 0.18), at))
    return Thing.of(solids)


def chair(rng: np.random.Generator) -> Thing:
    """A seat, a back of one piece or of bars, and four legs or an office chair's column."""
    of = label('chair')
    width, depth = rng.uniform(0.4, 0.52), rng.uniform(0.4, 0.5)
    height, high = rng.uniform(0.42, 0.5), rng.uniform(0.8, 1.05)
    frame = board(rng)
    seat = frame if rng.random() < 0.4 else cloth(rng)
    solids = [box(of, seat, (width, rng.uniform(0.03, 0.09), depth), (0, height - 0.03, 0))]
    if rng.random() < 0.3:
        frame = plain(rng, any_colour(rng, (0.05, 0.6), 0.3))
        solids.append(cylinder(of, frame, 0.03, height - 0.04, (0, 0, 0)))
        solids.append(cylinder(of, frame, rng.uniform(0.22, 0.28), 0.05, (0, 0, 0)))
    else:
        solids += legs(rng, of, frame, (width, depth), height - 0.02)
    behind = -depth / 2 + 0.02
    match rng.integers(3):
        case 0:
            low = height + rng.uniform(0.0, 0.2)
            solids.append(box(of, seat, (width, high - low, 0.04), (0, low, behind)))
            solids += [box(of, frame, (0.03, low - height + 0.02, 0.03), (x, height, behind))
                       for x in (-0.4 * width, 0.4 * width)]  # fmt: skip
        case 1:
            places = np.linspace(-0.45, 0.45, rng.integers(3, 6)) * width
            solids += [box(of, frame, (0.035, high - height, 0.03), (float(x), height, behind))
                       for x in places]  # fmt: skip
            solids.append(box(of, frame, (width, 0.07, 0.035), (0, high - 0.07, behind)))
        case _:
            solids += [box(of, frame, (0.035, high - height, 0.035), (x, height, behind))
                       for x in (-0.45 * width, 0.45 * width)]  # fmt: skip
            for low in np.linspace(height + 0.1, high - 0.07, rng.integers(2, 4)).tolist():
                solids.append(box(of, frame, (width, 0.07, 0.03), (0, low, behind)))
    if rng.random() < 0.3:
        for x in (-width / 2, width / 2):
            solids.append(box(of, frame, (0.04, 0.03, depth), (x, height + 0.2, 0)))
            solids.append(box(of, frame, (0.03, 0.22, 0.03), (x, height, 0.8 * depth / 2)))
    return Thing.of(solids)


def _table(rng: np.random.Generator, size: tuple[float, float], height: float) -> Thing:
    of, (width, depth) = label('table'), size
    plate = board(rng)
    frame = plate if rng.random() < 0.6 else board(rng)
    thick = rng.uniform(0.02, 0.06)
    under = height - thick
    if rng.random() < 0.25:  # round, on a column
        across = (width + depth) / 2
        solids = [
            cylinder(of, plate, across / 2, thick, (0, under, 0)),
            cylinder(of, frame, rng.uniform(0.03, 0.08), under, (0, 0, 0)),
            cylinder(of, frame, 0.3 * across, 0.04, (0, 0, 0)),
        ]
        return Thing.of(solids, [top(0, height, 0, 0.7 * across, 0.7 * across)])
    solids = [box(of, plate, (width, thick, depth), (0, under, 0))]
    if rng.random() < 0.75:
        solids += legs(rng, of, frame, (width - 0.05, depth - 0.05), under)
    else:
        solids += [box(of, frame, (0.04, under, depth - 0.1), (x, 0, 0))
                   for x in (0.06 - width / 2, width / 2 - 0.06)]  # fmt: skip
    if rng.random() < 0.5:
        solids.append(box(of, frame, (width - 0.14, 0.07, depth - 0.14), (0, under - 0.07, 0)))
    return Thing.of(solids, [top(0, height, 0, width, depth)])


def coffee_table(rng: np.random.Generator) -> Thing:
    """A low table."""
    return _table(rng, (rng.uniform(0.7, 1.2), rng.uniform(0.5, 0.7)), rng.uniform(0.35, 0.5))


def dining_table(rng: np.random.Generator) -> Thing:
    """A table to sit at."""
    return _table(rng, (rng.uniform(0.9, 1.7), rng.uniform(0.75, 1.0)), rng.uniform(0.7, 0.8))


def desk(rng: np.random.Generator) -> Thing:
    """A table to work at, for a wall."""
    return _table(rng, (rng.uniform(1.0, 1.6), rng.uniform(0.55, 0.75)), rng.uniform(0.7, 0.8))


def _fronts(rng: np.random.Generator, body: Texture, size: tuple[float, float, float],
            low: float) -> list[Solid]:  # fmt: skip
    """Doors or drawers with knobs on the front of a cabinet."""
    of, (width, height, depth) = label('furniture'), size
    front = body if rng.random() < 0.6 else board(rng)
    knob = plain(rng, any_colour(rng, (0.1, 0.9), 0.4))
    columns = max(1, round(width / rng.uniform(0.4, 0.7)))
    rows = max(1, round(height / rng.uniform(0.18, 0.3))) if rng.random() < 0.5 else 1
    solids = []
    for column in range(columns):
        for row in range(rows):
            wide, high = width / columns, height / rows
            x, y = (column + 0.5) * wide - width / 2, low + row * high
            panel = (wide - 0.02, high - 0.02, 0.02)
            solids.append(box(of, front, panel, (x, y + 0.01, depth / 2 + 0.01)))
            hinge = (0.38 if column % 2 == 0 else -0.38) * wide if rows == 1 else 0
            at = (x + hinge, y + high / 2 - 0.015, depth / 2 + 0.03)
            solids.append(ball(of, knob, (0.03, 0.03, 0.03), at))
    return solids


def _cabinet(rng: np.random.Generator, size: tuple[float, float, float]) -> Thing:
    of, (width, height, depth) = label('furniture'), size
    body, feet = board(rng), rng.uniform(0.0, 0.15) if height < 1.5 else 0.02
    solids = [box(of, body, (width, height - feet, depth), (0, feet, 0))]
    solids += legs(rng, of, body, (width, depth), feet + 0.01)
    solids += _fronts(rng, body, (width, height - feet, depth), feet)
    return Thing.of(solids, [top(0, height, 0, width, depth)] if height < 1.4 else [])


def cabinet(rng: np.random.Generator) -> Thing:
    """A chest of drawers, a sideboard or a bedside table."""
    width = rng.uniform(0.4, 1.6)
    return _cabinet(rng, (width, rng.uniform(0.45, 1.0), rng.uniform(0.35, 0.5)))


def wardrobe(rng: np.random.Generator) -> Thing:
    """A tall cabinet."""
    return _cabinet(rng, (rng.uniform(0.7, 1.6), rng.uniform(1.6, 2.1), rng.uniform(0.45, 0.6)))


def books(rng: np.random.Generator, width: float, room: float, depth: float,
          at: tuple[float, float, float]) -> list[Solid]:  # fmt: skip
    """Rows of books of different heights, side by side on a board.

    Args:
        rng: Source of randomness.
        width: Width of the board.
        room: Height above it.
        depth: Depth of the board.
        at: Middle of the board.

    Returns:
        The rows.
    """
    solids, x = [], -width / 2 + 0.01
    while x < width / 2 - 0.08:
        wide = min(rng.uniform(0.12, 0.45), width / 2 - 0.01 - x)
        if rng.random() < 0.88:
            high = min(rng.uniform(0.18, 0.32), 0.95 * room)
            thick = depth * rng.uniform(0.6, 0.85)
            row = (wide, high, thick)
            place = (at[0] + x + wide / 2, at[1], at[2] + 0.45 * depth - thick / 2)
            solids.append(box(label('books'), spines(rng, wide, 0), row, place))
        x += wide + 0.003
    return solids


def _fill(rng: np.random.Generator, width: float, room: float, depth: float,
          at: tuple[float, float, float]) -> list[Solid]:  # fmt: skip
    """What stands on one board of a shelf: books, mostly, or a few objects, or nothing."""
    kind = rng.random()
    if kind < 0.65:
        return books(rng, width, room, depth, at)
    if kind < 0.85:
        solids = []
        for x in rng.uniform(-0.35, 0.35, rng.integers(1, 4)) * width:
            texture = mottled(rng, any_colour(rng))
            size, place = rng.uniform(0.08, min(0.3, 0.9 * room)), (at[0] + float(x), *at[1:])
            if rng.random() < 0.5:
                solids.append(cylinder(label('objects'), texture, 0.3 * size, size, place))
            else:
                solids.append(ball(label('objects'), texture, (size, size, 0.8 * size), place))
        return solids
    return []


def shelf(rng: np.random.Generator) -> Thing:
    """A bookcase."""
    of, texture = label('furniture'), board(rng)
    width, depth = rng.uniform(0.6, 1.3), rng.uniform(0.25, 0.36)
    boards = int(rng.integers(3, 7))
    room = rng.uniform(0.27, 0.37)
    height = boards * (room + 0.025) + 0.03
    solids = [box(of, texture, (0.03, height, depth), (x, 0, 0))
              for x in (0.015 - width / 2, width / 2 - 0.015)]  # fmt: skip
    solids.append(box(of, texture, (width, height, 0.01), (0, 0, 0.005 - depth / 2)))
    solids.append(box(of, texture, (width, 0.025, depth), (0, height - 0.025, 0)))
    for i in range(boards):
        y = i * (room + 0.025)
        solids.append(box(of, texture, (width - 0.06, 0.025, depth - 0.01), (0, y, 0)))
        solids += _fill(rng, width - 0.06, room, depth, (0, y + 0.025, 0))
    return Thing.of(solids, [top(0, height, 0, width, depth)] if height < 1.4 else [])
