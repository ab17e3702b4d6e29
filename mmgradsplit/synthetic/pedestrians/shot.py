"""One picture of one person with all that can be told of it: parts, joints, visible attributes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas, View
from .draw import FigurePainter, garment_label
from .names import (
    ATTRIBUTES,
    BACKPACK,
    HANDBAG,
    HELD_OBJECT,
    JOINTS,
    LOGO,
    SHOULDER_BAG,
    codes_to_lip,
    part,
)
from .person import Person
from .scene import Image, Style, background, occlude, photograph
from .skeleton import PEDESTRIAN, Pose, body_of, place, sample_pose

# In units of an adult's height, squared: what covers less counts as not visible.
VISIBLE_AREA = 5e-4
GLASSES_AREA = 7.5e-4  # more than their arms, which are seen from behind


@dataclass(frozen=True)
class Shot:
    """A picture and its annotations.

    Args:
        image: shape (h, w, 3), blue, green, red.
        parts: LIP's labels, shape (h, w), 0 to 19.
        joints: Pixels (x, y) of MPII's joints, shape (16, 2).
        visible: Whether each joint is in the picture and not behind something, shape (16,).
        head: Box of the head x0, y0, x1, y1.
        box: Box of the person x0, y0, x1, y1; it may reach out of the picture.
        attributes: PA-100K's attributes that the picture shows, shape (26,), 0 or 1.
    """

    image: NDArray[np.uint8]
    parts: NDArray[np.uint8]
    joints: NDArray[np.float64]
    visible: NDArray[np.bool_]
    head: NDArray[np.float64]
    box: NDArray[np.float64]
    attributes: NDArray[np.uint8]


def take(
    rng: np.random.Generator,
    person: Person,
    pose: Pose,
    style: Style,
    size: tuple[int, int],
    fill: float,
    foot: tuple[float, float],
    occluded: float = 0.0,
) -> Shot:
    """Draw a person into a scene, seen from any side.

    Args:
        rng: Source of randomness for the scene and the camera.
        person: The identity.
        pose: The pose.
        style: The look.
        size: Width and height of the picture.
        fill: Height of an adult as a share of the picture's height.
        foot: Where the person stands, as shares of width and height.
        occluded: Probability that something stands in front.

    Returns:
        The picture with its annotations.
    """
    width, height = size
    scale, at = fill * height, (foot[0] * width, foot[1] * height)
    yaw, pitch = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(*style.pitch))
    view = View(float(yaw), float(pitch), scale, at, int(rng.choice([-1, 1])))
    body = body_of(person)
    figure = place(body, pose)
    joints, _ = view.project(np.stack([figure.joints[name] for name in JOINTS]))
    every, _ = view.project(np.stack(list(figure.joints.values())))
    box = np.concatenate([every.min(0) - 0.04 * scale, every.max(0) + 0.03 * scale])

    image = background(rng, str(rng.choice(style.backgrounds)), width, height)
    _cast_shadow(image, at, scale)
    # A hat's brim or a bag reaches further than the joints.
    x0, y0 = (int(v) for v in np.clip(box[:2] - 0.2 * scale, 0, np.array(size) - 1))
    x1, y1 = (int(v) for v in np.clip(box[2:] + 0.25 * scale, (x0 + 1, y0 + 1), size))
    canvas = Canvas((x0, y0, x1, y1))
    FigurePainter(canvas, view, person, body, figure).paint()
    colour, cover, drawn = canvas.finish()
    codes = np.zeros((height, width), np.uint8)
    codes[y0:y1, x0:x1] = drawn
    image[y0:y1, x0:x1] = colour + image[y0:y1, x0:x1] * (1 - cover)
    if rng.random() < occluded:
        occlude(rng, image, codes, box)
    return Shot(
        image=photograph(rng, image, style),
        parts=codes_to_lip(codes, garment_label(person)),
        joints=joints,
        visible=_visible(joints, codes),
        head=_head_box(joints),
        box=box,
        attributes=_attributes(person, view, codes),
    )


def crop_shot(
    rng: np.random.Generator, person: Person, style: Style, size: tuple[int, int]
) -> Shot:
    """Draw a pedestrian who fills the picture, as a detector would crop one.

    Args:
        rng: Source of randomness for the pose, the scene and the camera.
        person: The identity.
        style: The look.
        size: Width and height of the picture.

    Returns:
        The picture with its annotations.
    """
    pose = sample_pose(rng, person, PEDESTRIAN)
    foot = (rng.uniform(0.44, 0.56), rng.uniform(0.93, 0.98))
    return take(rng, person, pose, style, size, rng.uniform(0.84, 0.92), foot)


def _cast_shadow(image: Image, at: tuple[float, float], scale: float) -> None:
    """Darken the ground around the feet, in place."""
    shadow = np.ones(image.shape[:2], np.float32)
    axes = (max(1, int(0.2 * scale)), max(1, int(0.035 * scale)))
    cv2.ellipse(shadow, (int(at[0]), int(at[1])), axes, 0, 0, 360, 0.65, -1)
    soft = cv2.GaussianBlur(shadow, (0, 0), max(0.8, 0.01 * scale))
    image *= np.asarray(soft, np.float32)[..., None]


def _visible(joints: NDArray[np.float64], codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A joint shows where the picture has a part of the person; what occludes has none."""
    height, width = codes.shape
    x, y = np.rint(joints).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    # The crown lies on the outline; let it be two pixels off.
    near = cv2.dilate((codes > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    shows = near[y.clip(0, height - 1), x.clip(0, width - 1)] > 0
    return inside & shows


def _head_box(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """The head's box from neck to crown, 0.8 as wide as high."""
    neck, top = joints[JOINTS.index('upper_neck')], joints[JOINTS.index('head_top')]
    length = 1.1 * float(np.linalg.norm(top - neck))
    half = np.array([0.4, 0.5]) * length
    centre = (neck + top) / 2
    return np.concatenate([centre - half, centre + half])


def _attributes(person: Person, view: View, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """PA-100K's attributes as the picture shows them."""

    def shows(code: int, area: float = VISIBLE_AREA) -> bool:
        return int((codes == code).sum()) >= area * view.scale**2

    turn = abs(np.degrees(view.yaw))
    kind, upper, lower = person.upper_kind, person.upper.pattern, person.lower.pattern
    # A long coat hides the skirt below it.
    lower_shows = shows(part('Pants')) or shows(part('Skirt'))
    has = {
        'Female': person.female,
        'AgeOver60': person.age == 'old',
        'Age18-60': person.age == 'adult',
        'AgeLess18': person.age == 'child',
        'Front': turn < 50,
        'Side': 50 <= turn <= 130,
        'Back': turn > 130,
        'Hat': shows(part('Hat')),
        'Glasses': shows(part('Sunglasses'), GLASSES_AREA),
        'HandBag': shows(HANDBAG),
        'ShoulderBag': shows(SHOULDER_BAG),
        'Backpack': shows(BACKPACK),
        'HoldObjectsInFront': shows(HELD_OBJECT),
        'ShortSleeve': not person.long_sleeves,
        'LongSleeve': person.long_sleeves,
        'UpperStride': upper == 'stripes',
        'UpperLogo': shows(LOGO),
        'UpperPlaid': upper == 'plaid',
        'UpperSplice': upper == 'splice',
        'LowerStripe': lower_shows and lower == 'side',
        'LowerPattern': lower_shows and lower == 'dots',
        'LongCoat': kind == 'coat',
        'Trousers': (person.lower_kind == 'trousers' and lower_shows) or kind == 'jumpsuit',
        'Shorts': person.lower_kind == 'shorts' and lower_shows,
        'Skirt&Dress': (person.lower_kind == 'skirt' and lower_shows) or kind == 'dress',
        'boots': person.boots,
    }
    return np.array([has[name] for name in ATTRIBUTES], np.uint8)
