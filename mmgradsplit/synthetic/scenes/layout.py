"""Rooms: what is in them, where it stands, and from where it is seen."""

from dataclasses import dataclass, field

import numpy as np

from . import clutter, furniture, walls
from .camera import Camera
from .names import label
from .parts import Build, ball, box, cloth
from .solids import Thing, turn_y
from .textures import Array, any_colour, plain

TRIES = 25

# What may stand along the walls of each kind of room, and how likely; the first is its namesake.
ALONG_WALLS: dict[str, tuple[tuple[Build, float], ...]] = dict(
    bedroom=(
        (furniture.bed, 1.0), (furniture.cabinet, 0.8), (furniture.wardrobe, 0.5),
        (furniture.chair, 0.4), (furniture.shelf, 0.4), (furniture.desk, 0.3),
    ),
    living=(
        (furniture.sofa, 1.0), (furniture.cabinet, 0.8), (furniture.shelf, 0.6),
        (furniture.sofa, 0.5), (furniture.chair, 0.5), (furniture.cabinet, 0.3),
    ),
    dining=(
        (furniture.cabinet, 0.6), (furniture.shelf, 0.4), (furniture.wardrobe, 0.3),
        (furniture.chair, 0.4), (furniture.sofa, 0.25),
    ),
    study=(
        (furniture.desk, 1.0), (furniture.shelf, 0.9), (furniture.shelf, 0.5),
        (furniture.cabinet, 0.5), (furniture.desk, 0.3), (furniture.bed, 0.25),
    ),
)  # fmt: skip
ON_WALLS: tuple[tuple[Build, float], ...] = (
    (walls.window, 0.75), (walls.window, 0.4), (walls.picture, 0.7), (walls.picture, 0.6),
    (walls.wall_television, 0.35), (walls.wall_shelf, 0.25), (walls.door, 0.5),
    (walls.picture, 0.4),
)  # fmt: skip


@dataclass
class Room:
    """A room that is being furnished.

    Args:
        size: Width (x), height (y) and depth (z), shape [3].
        camera: From where it is seen.
        things: What is in it; the first is its shell.
        lights: Positions, shape [3] each.
    """

    size: Array
    camera: Camera
    things: list[Thing]
    lights: list[Array] = field(default_factory=list)

    def add(self, thing: Thing, margin: float = 1.0) -> bool:
        """Put a thing where it stands, if it fits there and is seen.

        Args:
            thing: In its place.
            margin: How far beyond the picture's sides its middle may be, as a factor.

        Returns:
            Whether it is there now.
        """
        x, z = thing.outline.mean(0)
        inside = (thing.outline > -1e-6).all() and (thing.outline < self.size[::2] + 1e-6).all()
        if not (inside and thing.rise[1] <= self.size[1]):
            return False
        if not self.camera.sees(np.array([x, 0.5 * sum(thing.rise), z]), margin):
            return False
        eye = self.camera.position
        close = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.5 + eye[::2]
        taken = [*self.things[1:], Thing((), close, (0, self.size[1]))]
        if any(thing.meets(other) for other in taken):
            return False
        self.things.append(thing)
        return True

    def add_along_wall(self, rng: np.random.Generator, thing: Thing, gap: float) -> Thing | None:
        """Put a thing with its back to a wall, ``gap`` away from it, and return it in its place."""
        for _ in range(TRIES):
            wall = rng.integers(4)
            turn = turn_y(wall * np.pi / 2)
            across, deep = self.size[::2] if wall % 2 == 0 else self.size[2::-2]
            x = rng.uniform(-0.5, 0.5) * (across - 2 * thing.half[0])
            back = gap - deep / 2 - thing.outline[:, 1].min()
            middle = self.size * [0.5, 0, 0.5]
            placed = thing.moved(wall * np.pi / 2, middle + turn @ [x, 0, back])
            if self.add(placed):
                return placed
        return None

    def add_anywhere(self, rng: np.random.Generator, thing: Thing) -> Thing | None:
        """Put a thing on the floor, turned at random, and return it in its place."""
        for _ in range(TRIES):
            at = self.size * rng.uniform(0.1, 0.9, 3) * [1, 0, 1]
            placed = thing.moved(rng.uniform(-np.pi, np.pi), at)
            if self.add(placed):
                return placed
        return None

    def add_on_top(self, rng: np.random.Generator, below: Thing, thing: Thing) -> bool:
        """Put a thing on another, if there is a place for it.

        Args:
            rng: Source of randomness.
            below: A thing in its place.
            thing: In its own frame.
        """
        for place in below.tops:
            free = place[3:] - thing.half
            if (free < 0).any():
                continue
            angle = float(np.arctan2(below.turn[0, 2], below.turn[2, 2]))
            for _ in range(TRIES // 4):
                offset = rng.uniform(-1, 1, 2) * free
                at = place[:3] + below.turn @ [offset[0], 0, offset[1]]
                # The outline's middle, not the frame's origin, is where it stands.
                middle = thing.outline.mean(0)
                at = at - below.turn @ [middle[0], 0, middle[1]]
                if self.add(thing.moved(angle, at), margin=1.2):
                    return True
        return False


def draw_room(rng: np.random.Generator, width: int, height: int) -> Room:
    """Draw a furnished room and a camera in it.

    Args:
        rng: Source of randomness.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.

    Returns:
        The room.
    """
    size = np.array([rng.uniform(3, 6), rng.uniform(2.35, 2.8), rng.uniform(3, 6)])
    room = Room(size, _camera(rng, size, width, height), [walls.shell(rng, *size)])
    if rng.random() < 0.2:
        room.add_along_wall(rng, walls.pillar(rng, float(size[1])), 0.0)
    kind = str(rng.choice(list(ALONG_WALLS)))
    if kind == 'dining':
        _dining_group(rng, room)
    for build, chance in ALONG_WALLS[kind]:
        if rng.random() < chance:
            placed = room.add_along_wall(rng, build(rng), rng.uniform(0.03, 0.08))
            if placed is not None:
                _accompany(rng, room, build, placed)
    for build, chance in ON_WALLS:
        if rng.random() < chance:
            room.add_along_wall(rng, build(rng), 0.0)
    for _ in range(rng.integers(0, 4)):
        build = clutter.ON_FLOOR[rng.integers(len(clutter.ON_FLOOR))]
        room.add_anywhere(rng, build(rng))
    if rng.random() < 0.3:
        room.add_anywhere(rng, clutter.unknown(rng))
    _light(rng, room)
    if rng.random() < 0.35:
        _rug(rng, room)
    return room


def _camera(rng: np.random.Generator, size: Array, width: int, height: int) -> Camera:
    """In front of one of the walls, looking into the room."""
    wall = rng.integers(4)
    across, deep = size[::2] if wall % 2 == 0 else size[2::-2]
    x, back = rng.uniform(-0.35, 0.35) * across, rng.uniform(0.15, 0.6) - deep / 2
    middle = size * [0.5, 0, 0.5]
    position = middle + turn_y(wall * np.pi / 2) @ [x, rng.uniform(1.0, 1.7), back]
    # It looks along -z in its own frame, hence the half turn; towards the middle, roughly.
    yaw = wall * np.pi / 2 + np.pi + np.arctan2(-x, deep / 2) + rng.uniform(-0.4, 0.4)
    pitch, roll = rng.normal(np.radians(-7), np.radians(8)), rng.normal(0, np.radians(2))
    c, s = np.cos(pitch), np.sin(pitch)
    tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    c, s = np.cos(roll), np.sin(roll)
    lean = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    field_of_view = np.radians(rng.uniform(54, 66))
    focal = width / (2 * np.tan(field_of_view / 2))
    return Camera(position, turn_y(yaw) @ tilt @ lean, float(focal), width, height)


def _dining_group(rng: np.random.Generator, room: Room) -> None:
    """A table with chairs about it, all of one make."""
    table = room.add_anywhere(rng, furniture.dining_table(rng))
    if table is None:
        return
    _cover(rng, room, table)
    make = int(rng.integers(2**32))
    x, z = table.outline.mean(0)
    for side in rng.permutation(4)[: rng.integers(2, 5)]:
        chair = furniture.chair(np.random.default_rng(make))
        reach = table.half[1 - side % 2] + chair.half[1] + rng.uniform(0.02, 0.2)
        turn = table.turn @ turn_y(side * np.pi / 2)
        angle = float(np.arctan2(turn[0, 2], turn[2, 2])) + rng.uniform(-0.15, 0.15)
        room.add(chair.moved(angle, np.array([x, 0, z]) - reach * turn[:, 2]), margin=1.2)


def _accompany(rng: np.random.Generator, room: Room, build: Build, placed: Thing) -> None:
    """What goes with a piece of furniture: things on it, and one in front of it."""
    if build is furniture.cabinet and rng.random() < 0.6:
        room.add_on_top(rng, placed, clutter.SETS[rng.integers(len(clutter.SETS))](rng))
    if build is furniture.desk and rng.random() < 0.7:
        room.add_on_top(rng, placed, clutter.television(rng))
    _cover(rng, room, placed)
    x, z = placed.outline.mean(0)
    front = placed.turn[:, 2]
    angle = float(np.arctan2(front[0], front[2]))
    if build is furniture.desk and rng.random() < 0.8:
        chair = furniture.chair(rng)
        reach = placed.half[1] + chair.half[1] + rng.uniform(0.02, 0.25)
        turned = angle + np.pi + rng.uniform(-0.5, 0.5)
        room.add(chair.moved(turned, np.array([x, 0, z]) + reach * front), margin=1.2)
    if build is furniture.sofa and rng.random() < 0.75:
        table = furniture.coffee_table(rng)
        reach = placed.half[1] + table.half[1] + rng.uniform(0.15, 0.5)
        moved = table.moved(angle, np.array([x, 0, z]) + reach * front)
        if room.add(moved, margin=1.2):
            _cover(rng, room, moved)


def _cover(rng: np.random.Generator, room: Room, placed: Thing) -> None:
    """Put a few small things on a table or a cabinet."""
    for _ in range(rng.integers(0, 5) if placed.tops else 0):
        room.add_on_top(rng, placed, clutter.ON_TABLES[rng.integers(len(clutter.ON_TABLES))](rng))


def _light(rng: np.random.Generator, room: Room) -> None:
    """One or two lights below the ceiling; a lamp is seen above some."""
    for _ in range(rng.integers(1, 3)):
        x, z = room.size[::2] * rng.uniform(0.2, 0.8, 2)
        room.lights.append(np.array([x, room.size[1] - 0.3, z]))
        if rng.random() < 0.6:
            make = ball if rng.random() < 0.5 else box
            shade = plain(rng, any_colour(rng, (0.85, 1.0), 0.3))
            wide, at = rng.uniform(0.25, 0.5), (x, room.size[1] - 0.12, z)
            solid = make(label('objects'), shade, (wide, 0.12, wide), at, glow=1.5)
            room.add(Thing.of([solid]), margin=2.0)


def _rug(rng: np.random.Generator, room: Room) -> None:
    """A rug, which belongs to the floor; furniture stands on it."""
    width, depth = rng.uniform(1.0, 2.4), rng.uniform(0.8, 1.6)
    rug = Thing.of([box(label('floor'), cloth(rng), (width, 0.012, depth), (0, 0, 0))])
    at = room.size * rng.uniform(0.3, 0.7, 3) * [1, 0, 1]
    room.things.append(rug.moved(rng.uniform(-0.3, 0.3), at))
