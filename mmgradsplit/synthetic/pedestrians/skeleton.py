"""How a person stands: body proportions, joint angles, and the joints in space they give.

Body frame: x to the person's left, y up, z forward, the ground at y = 0, lengths in units of an
adult's height.
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from .person import Person, pick

Array = NDArray[np.float64]

SIDES = {'left': 1, 'right': -1}


@dataclass(frozen=True)
class Body:
    """Lengths of a body, in units of an adult's height.

    Args:
        head: Chin to crown.
        neck: Between the shoulders to the chin.
        torso: Pelvis to between the shoulders.
        shoulder: Half the width of the shoulders.
        waist: Half the width of the waist.
        hip: Half the width of the hips.
        upper_arm: Shoulder to elbow.
        forearm: Elbow to wrist.
        thigh: Hip to knee.
        shin: Knee to ankle.
        girth: Factor on the thickness of limbs.
    """

    head: float
    neck: float
    torso: float
    shoulder: float
    waist: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    girth: float


def body_of(person: Person) -> Body:
    """The lengths of a body that follow from age, sex and build."""
    build = person.build
    if person.age == 'child':
        return Body(0.215, 0.025, 0.27, 0.105 * build, 0.082 * build, 0.082 * build, 0.14, 0.125,
                    0.18, 0.175, build)  # fmt: skip
    if person.female:
        widths = (0.098 * build, 0.072 * build, 0.098 * build)
    else:
        widths = (0.12 * build, 0.088 * build, 0.09 * build)
    return Body(0.152, 0.04, 0.275, *widths, 0.165, 0.15, 0.24, 0.235, build)


@dataclass(frozen=True)
class Limb:
    """Angles of an arm or a leg, in radians; all zero hangs straight down.

    Args:
        flex: Swing forward.
        abduct: Swing outward.
        bend: Bend of the elbow (forward) or knee (backward).
        inward: Turn about the limb's own axis that points the bend inward.
    """

    flex: float
    abduct: float
    bend: float
    inward: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Joint angles of a whole body, in radians.

    Args:
        lean: Torso forward.
        tilt: Torso sideways, to the right where positive.
        head_yaw: Head turned to the left.
        arms: Left and right arm.
        legs: Left and right leg.
        seated: Whether a seat belongs below the pelvis.
    """

    lean: float
    tilt: float
    head_yaw: float
    arms: dict[str, Limb]
    legs: dict[str, Limb]
    seated: bool = False


@dataclass(frozen=True)
class Figure:
    """A posed body in its body frame.

    Args:
        joints: Position of each joint by name, shape (3,).
        torso: Orientation of the torso, shape (3, 3), columns are its axes.
        head: Orientation of the head, shape (3, 3).
        seated: Whether a seat belongs below the pelvis.
    """

    joints: dict[str, Array]
    torso: Array
    head: Array
    seated: bool


def turn_x(angle: float) -> Array:
    """Rotation about x, shape (3, 3); turns up (y) to forward (z)."""
    c, s = cos(angle), sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(angle: float) -> Array:
    """Rotation about y, shape (3, 3); turns forward (z) to the left (x)."""
    c, s = cos(angle), sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(angle: float) -> Array:
    """Rotation about z, shape (3, 3); turns left (x) to up (y)."""
    c, s = cos(angle), sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


class _Angles:
    """Draws angles given in degrees."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def __call__(self, low: float, high: float) -> float:
        return radians(float(self.rng.uniform(low, high)))

    def relaxed_arm(self) -> Limb:
        return Limb(self(-8, 12), self(6, 14), self(5, 25), self(0, 30))

    def straight_leg(self) -> Limb:
        return Limb(self(-4, 4), self(1, 6), self(0, 5))


PEDESTRIAN = {'stand': 0.4, 'walk': 0.6}
ATHLETE = {
    'stand': 0.08, 'walk': 0.18, 'run': 0.12, 'raise': 0.12, 'wave': 0.12, 'spread': 0.08,
    'akimbo': 0.08, 'phone': 0.07, 'sit': 0.08, 'kick': 0.07,
}  # fmt: skip
"""Weights of the kinds of pose in the street and in the pose set."""


def _arms(kind: str, angle: _Angles, swing: float) -> dict[str, Limb]:
    """Arms of a kind of pose; ``swing`` in [-1, 1] is the left leg's swing."""
    arms = {side: angle.relaxed_arm() for side in SIDES}
    chosen = 'left' if angle.rng.random() < 0.5 else 'right'
    if kind in ('walk', 'run'):
        reach, bend = (angle(38, 55), angle(75, 105)) if kind == 'run' else (
            angle(14, 30), angle(12, 35))  # fmt: skip
        for side, sign in SIDES.items():
            arms[side] = Limb(-sign * swing * reach, angle(5, 12), bend, angle(5, 25))
    elif kind == 'raise':
        arms = {side: Limb(angle(-10, 10), angle(118, 168), angle(0, 45)) for side in SIDES}
    elif kind == 'wave':
        arms[chosen] = Limb(angle(-10, 15), angle(105, 160), angle(10, 60), angle(-20, 20))
    elif kind == 'spread':
        arms = {side: Limb(angle(-8, 8), angle(65, 102), angle(0, 25)) for side in SIDES}
    elif kind == 'akimbo':
        arms = {side: Limb(angle(-22, -8), angle(38, 50), angle(88, 102), angle(72, 88))
                for side in SIDES}  # fmt: skip
    elif kind == 'phone':
        arms[chosen] = Limb(angle(28, 45), angle(25, 38), angle(128, 140), angle(5, 18))
    elif kind == 'hold':
        flex, bend = angle(12, 26), angle(70, 88)
        arms = {side: Limb(flex, angle(3, 8), bend, angle(16, 22)) for side in SIDES}
    elif kind == 'sit':
        arms = {side: Limb(angle(18, 34), angle(4, 14), angle(38, 62), angle(0, 15))
                for side in SIDES}  # fmt: skip
    elif kind == 'kick':
        arms = {side: Limb(angle(-25, 25), angle(25, 75), angle(10, 50)) for side in SIDES}
    return arms


def _legs(kind: str, angle: _Angles, swing: float) -> dict[str, Limb]:
    """Legs of a kind of pose; ``swing`` in [-1, 1] is the left leg's swing."""
    if kind in ('walk', 'run'):
        reach = angle(36, 50) if kind == 'run' else angle(17, 29)
        legs = {}
        for side, sign in SIDES.items():
            behind = max(0.0, -sign * swing)
            bend = angle(5, 15) + behind * (angle(50, 85) if kind == 'run' else angle(14, 34))
            legs[side] = Limb(sign * swing * reach + behind * 0.1, angle(0, 4), bend)
        return legs
    if kind == 'sit':
        return {side: Limb(angle(72, 90), angle(2, 14), angle(72, 95)) for side in SIDES}
    legs = {side: angle.straight_leg() for side in SIDES}
    if kind in ('raise', 'spread', 'kick'):
        legs = {side: Limb(angle(-5, 8), angle(4, 18), angle(0, 10)) for side in SIDES}
    if kind == 'kick':
        side = 'left' if angle.rng.random() < 0.5 else 'right'
        legs[side] = Limb(angle(25, 70), angle(2, 15), angle(0, 70))
    return legs


def sample_pose(rng: np.random.Generator, person: Person, kinds: dict[str, float]) -> Pose:
    """Draw a pose that the person's clothes and bags allow.

    Args:
        rng: Source of randomness.
        person: The identity; who carries an object holds it in front with both arms.
        kinds: Weight of each kind of pose (:data:`PEDESTRIAN`, :data:`ATHLETE`).

    Returns:
        The pose.
    """
    wide = person.lower_kind == 'skirt' or person.upper_kind in ('coat', 'dress')
    if wide:
        kinds = {kind: w for kind, w in kinds.items() if kind not in ('sit', 'kick')}
    kind = pick(rng, kinds)
    angle = _Angles(rng)
    swing = float(rng.choice([-1, 1]) * rng.uniform(0.45, 1.0))
    arms = _arms('hold' if person.carries == 'object' else kind, angle, swing)
    if person.carries == 'handbag':
        side = 'left' if person.bag_side > 0 else 'right'
        arms[side] = Limb(angle(-6, 10), angle(8, 16), angle(3, 14))
    stoop = radians(13) if person.age == 'old' else 0.0
    lean = stoop + {'run': angle(5, 16), 'sit': angle(-6, 10)}.get(kind, angle(-2, 5))
    return Pose(lean, angle(-4, 4), angle(-15, 15), arms, _legs(kind, angle, swing),
                kind == 'sit')  # fmt: skip


def place(body: Body, pose: Pose) -> Figure:
    """Forward kinematics: the joints in space, the lowest foot on the ground."""
    torso = turn_z(-pose.tilt) @ turn_x(pose.lean)
    head = turn_z(-pose.tilt) @ turn_x(0.4 * pose.lean) @ turn_y(pose.head_yaw)
    joints = {'pelvis': np.zeros(3), 'thorax': torso @ [0, body.torso, 0]}
    joints['upper_neck'] = joints['thorax'] + torso @ [0, body.neck, 0.12 * body.neck]
    joints['head_centre'] = joints['upper_neck'] + head @ [0, 0.48 * body.head, 0.06 * body.head]
    joints['head_top'] = joints['upper_neck'] + head @ [0, body.head, 0.04 * body.head]
    for side, sign in SIDES.items():
        arm, leg = pose.arms[side], pose.legs[side]
        turned = turn_z(sign * arm.abduct) @ turn_x(-arm.flex) @ turn_y(-sign * arm.inward)
        # A raised arm lifts its shoulder.
        lift = 0.022 * max(0.0, -cos(arm.abduct) * cos(arm.flex))
        shoulder = joints['thorax'] + torso @ [sign * body.shoulder, lift - 0.012, 0]
        forearm = turned @ [0, -cos(arm.bend), sin(arm.bend)]
        joints[f'{side}_shoulder'] = shoulder
        joints[f'{side}_elbow'] = shoulder + turned @ [0, -body.upper_arm, 0]
        joints[f'{side}_wrist'] = joints[f'{side}_elbow'] + body.forearm * forearm
        joints[f'{side}_hand'] = joints[f'{side}_wrist'] + 0.26 * body.forearm * forearm
        turned = turn_z(sign * leg.abduct) @ turn_x(-leg.flex) @ turn_y(-sign * leg.inward)
        hip = np.array([sign * 0.53 * body.hip, -0.01, 0])
        joints[f'{side}_hip'] = hip
        joints[f'{side}_knee'] = hip + turned @ [0, -body.thigh, 0]
        shin = turned @ [0, -cos(leg.bend), -sin(leg.bend)]
        joints[f'{side}_ankle'] = joints[f'{side}_knee'] + body.shin * shin
        tip = 0.6 * (leg.flex - leg.bend)
        out = np.array([0.22 * sign, sin(tip), cos(tip)])
        joints[f'{side}_heel'] = joints[f'{side}_ankle'] + [0, -0.022, 0] - 0.018 * out
        joints[f'{side}_toe'] = joints[f'{side}_ankle'] + [0, -0.024, 0] + 0.085 * out
    ground = min(joints[f'{side}_{end}'][1] for side in SIDES for end in ('heel', 'toe')) - 0.022
    joints = {name: at - [0, ground, 0] for name, at in joints.items()}
    return Figure(joints, torso, head, pose.seated)
