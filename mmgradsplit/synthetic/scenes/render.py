"""Pictures of rooms: light, the labels of the pixels, and what a depth sensor misses."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera
from .layout import Room, draw_room
from .names import UNLABELLED
from .solids import Solid, trace
from .textures import GAMMA, Array

LAMP = 0.06  # metres: a light is not a point, so that shadows have soft borders
STEP = 0.08  # a jump of the depth by this share is the border of a thing


@dataclass(frozen=True)
class Shot:
    """A picture and its annotations.

    Args:
        image: Red, green and blue, shape [h x w x 3].
        segmentation: Class plus one, 0 where there is none, shape [h x w].
        depth: Metres along the optical axis, NaN where the sensor missed it, shape [h x w].
        normals: Unit vectors to the right, up and towards the camera, or 0 where the depth is
            missing, shape [h x w x 3].
        camera: How it was taken.
    """

    image: NDArray[np.uint8]
    segmentation: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    camera: Camera


def take(rng: np.random.Generator, width: int, height: int) -> Shot:
    """Draw a room and take a picture of it.

    Args:
        rng: Source of randomness.
        width: Width of the picture, in pixels.
        height: Height of the picture, in pixels.

    Returns:
        The picture with its annotations.
    """
    room = draw_room(rng, width, height)
    camera = room.camera
    middles, corners = camera.rays().reshape(-1, 3), camera.rays(corners=True).reshape(-1, 3)
    rays = np.concatenate([middles, corners])
    depth, index = trace(np.broadcast_to(camera.position, rays.shape), rays, room.things)
    points = camera.position + depth[:, None] * rays
    solids = [solid for thing in room.things for solid in thing.solids]
    colours, normals = _surfaces(points, index, solids)
    light = _lighting(rng, room, points, normals)
    light += np.array([solid.glow for solid in solids])[index, None]
    image = _develop(rng, colours * light, height, width)

    # The annotations are those of the pixels' middles.
    depth, index, normals = depth[: len(middles)], index[: len(middles)], normals[: len(middles)]
    depth, index = depth.reshape(height, width), index.reshape(height, width)
    normals = (normals @ camera.turn).reshape(height, width, 3)
    owner = np.repeat(np.arange(len(room.things)), [len(thing.solids) for thing in room.things])
    missed = _missed(rng, depth, np.array([solid.glass for solid in solids])[index])
    labels = np.array([solid.label for solid in solids], np.uint8)[index]
    return Shot(
        image=image,
        segmentation=_annotate(rng, labels, owner[index]),
        depth=np.where(missed, np.nan, depth).astype(np.float32),
        normals=np.where(missed[..., None], 0, normals).astype(np.float32),
        camera=camera,
    )


def _surfaces(points: Array, index: NDArray[np.int64], solids: list[Solid]) -> tuple[Array, Array]:
    """Colours and normals, in the world, of points [n x 3] on solids."""
    colours, normals = np.empty_like(points), np.empty_like(points)
    order = np.argsort(index, kind='stable')
    numbers, starts = np.unique(index[order], return_index=True)
    for number, at in zip(numbers, np.split(order, starts[1:]), strict=True):
        solid = solids[number]
        own, normal = solid.surface(points[at])
        colours[at] = solid.texture(own, normal).clip(0, 1)
        normals[at] = normal @ solid.turn.T
    return colours, normals


def _lighting(rng: np.random.Generator, room: Room, points: Array, normals: Array) -> Array:
    """Light that falls on points [n x 3]: from all around, and from the lamps with shadows."""
    # The light from all around is uneven: faces of one colour differ even in the shadow.
    uneven = rng.uniform(-0.3, 0.3, 3) + [0, 0.2, 0]
    tint = 1 + rng.uniform(-0.12, 0.12) * np.array([1, 0, -1])
    total = rng.uniform(0.25, 0.5) * (1 + normals @ uneven)[:, None] * tint
    for lamp in room.lights:
        power = rng.uniform(2.0, 5.0) / len(room.lights)
        tint = 1 + rng.uniform(-0.05, 0.25) * np.array([1, 0.2, -1])
        to = lamp - points
        squared = np.einsum('ij,ij->i', to, to)
        slope = np.einsum('ij,ij->i', to, normals)
        facing = np.flatnonzero(slope > 0)
        blurred = to[facing] + LAMP * rng.standard_normal((len(facing), 3))
        # Without the shell: no wall is between two points of a room.
        free = trace(points[facing], blurred, room.things[1:])[0] > 1
        lit = facing[free]
        fall = slope[lit] / np.sqrt(squared[lit]) / (1 + squared[lit])
        total[lit] += power * fall[:, None] * tint
    return total


def _develop(rng: np.random.Generator, light: Array, height: int, width: int) -> NDArray[np.uint8]:
    """From the light at the pixels' middles and corners, [n x 3], to a picture: exposure, noise."""
    middles, corners = np.split(light, [height * width])
    about = cv2.blur(corners.reshape(height + 1, width + 1, 3), (2, 2))[1:, 1:]
    mixed = (middles.reshape(height, width, 3) + np.asarray(about, np.float64)) / 2
    exposure = rng.uniform(0.25, 0.45) / np.quantile(mixed.mean(-1), 0.7)
    picture = (mixed * exposure).clip(0, 1) ** (1 / GAMMA)
    picture += rng.uniform(0.003, 0.018) * rng.standard_normal(picture.shape)
    return (255 * picture.clip(0, 1)).round().astype(np.uint8)


def _patches(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    """Patches of a few pixels that cover a share of a picture."""
    sigma = max(1.5, shape[1] / 80)
    noise = np.asarray(cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), sigma), np.float64)
    return np.asarray(noise > np.quantile(noise, 1 - share))


def _missed(rng: np.random.Generator, depth: Array, glass: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a depth sensor measures nothing: patches of glass, and beside the borders of things.

    Its projector and its eye are apart: to one side of what is near there is a shadow.
    """
    missed = glass & _patches(rng, depth.shape, 0.5)
    reach = int(rng.integers(1, 3))
    side = np.zeros((1, 2 * reach + 1), np.uint8)
    side[:, : reach + 1] = 1
    nearest = cv2.erode(depth, side if rng.random() < 0.5 else side[:, ::-1].copy())
    shadow = depth > (1 + STEP) * nearest
    return missed | (shadow & _patches(rng, depth.shape, 0.7))


def _annotate(
    rng: np.random.Generator, labels: NDArray[np.uint8], owner: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The labels as people draw them: about some things a border is left without one."""
    careless = rng.random(owner.max() + 1) < 0.35
    thing = owner.astype(np.uint8) if owner.max() < 256 else owner.astype(np.uint16)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    border = cv2.dilate(thing, cross) != cv2.erode(thing, cross)
    return np.where(border & careless[owner] & (owner > 0), UNLABELLED, labels).astype(np.uint8)
