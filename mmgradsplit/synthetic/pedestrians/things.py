"""Drawing of what a person carries and sits on."""

from collections.abc import Callable

import cv2
import numpy as np

from .canvas import DARK, Painter
from .names import BACKPACK, HANDBAG, HELD_OBJECT, SEAT, SHOULDER_BAG
from .person import Colour, shaded
from .skeleton import SIDES, Array

Draw = Callable[[], None]
Layer = tuple[float, Draw]
"""Nearness to the camera, for sorting, and what draws it."""

_BAG_OUT = 0.035  # from the hip to the middle of a shoulder bag


class ThingPainter(Painter):
    """Draws bags, a held object and a seat."""

    def layers(self, chest: float) -> list[Layer]:
        """What there is to draw.

        Args:
            chest: Nearness of the torso.

        Returns:
            The layers, not sorted.
        """
        depth, cosine = self.view.depth, np.cos(self.view.yaw)
        layers: list[Layer] = [(-9.0, self._seat)] if self.figure.seated else []
        match self.person.carries:
            case 'backpack':
                layers.append((depth(self._torso_point(0, 0.58, -0.135)) + 0.02, self._backpack))
                if cosine > -0.25:
                    layers.append((chest + 0.03, self._backpack_straps))
            case 'shoulder_bag':
                layers.append((depth(self._at_hip()) + 0.09, self._shoulder_bag))
                layers.append((chest + 0.02, self._shoulder_strap))
            case 'handbag':
                nearness = depth(self._bag_hand())
                # On the far side it goes below the legs, as the arm does.
                far = -0.6 if nearness < -0.06 else 0.0
                layers.append((nearness + 0.06 + far, self._handbag))
            case 'object':
                hands = np.stack([self.joints[f'{side}_hand'] for side in SIDES])
                layers.append((depth(hands) + 0.11, self._held_object))
        return layers

    def _at_hip(self) -> Array:
        x = self.person.bag_side * (self.body.hip + _BAG_OUT)
        return self._torso_point(x, -0.12, 0.02)

    def _bag_hand(self) -> Array:
        return self.joints['left_hand' if self.person.bag_side > 0 else 'right_hand']

    def _box(self, centre: Array, frame: Array, half: tuple[float, float, float], colour: Colour,
             code: int) -> None:  # fmt: skip
        """A box: its hull, with the lower third in shadow."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        corners = self.view.project(centre + (signs * half) @ frame.T)[0]
        hull = cv2.convexHull(corners.astype(np.float32))[:, 0].astype(float)
        self.canvas.fill(hull, colour, code)
        low = hull.copy()
        middle = corners.mean(0)
        low[:, 1] = np.maximum(low[:, 1], middle[1] + 0.35 * (hull[:, 1].max() - middle[1]))
        self.canvas.darken(low, DARK)
        self.canvas.crease(np.concatenate([hull, hull[:1]]))

    def _torso_point(self, x: float, v: float, z: float) -> Array:
        offset = np.array([x, v * self.body.torso, z * self.body.girth])
        return self.joints['pelvis'] + self.figure.torso @ offset

    def _backpack(self) -> None:
        body, torso, colour = self.body, self.figure.torso, self.person.bag
        size = (1.0 * body.shoulder, 0.44 * body.torso, 0.062)
        self._box(self._torso_point(0, 0.6, -0.135), torso, size, colour, BACKPACK)
        if np.cos(self.view.yaw) < 0.2:
            pocket = self._torso_point(0, 0.42, -0.2)
            self._box(pocket, torso, (0.7 * body.shoulder, 0.17 * body.torso, 0.012),
                      shaded(colour, 0.72), BACKPACK)  # fmt: skip
            self._box(self._torso_point(0, 0.84, -0.18), torso,
                      (0.9 * body.shoulder, 0.14 * body.torso, 0.02), shaded(colour, 0.85),
                      BACKPACK)  # fmt: skip

    def _strap(self, points: list[tuple[float, float, float]], code: int, width: float) -> None:
        at = np.stack([self._torso_point(x * self.body.shoulder, v, z) for x, v, z in points])
        self.canvas.line(self.view.project(at)[0], width * self.view.scale,
                         shaded(self.person.bag, 0.85), code)  # fmt: skip

    def _backpack_straps(self) -> None:
        for sign in (-1, 1):
            if np.sin(self.view.yaw) * sign > 0.5:
                continue  # the far strap is hidden by the body
            self._strap([(0.62 * sign, 1.03, 0.0), (0.6 * sign, 0.85, 0.072),
                         (0.68 * sign, 0.5, 0.07), (0.9 * sign, 0.25, 0.0)], BACKPACK,
                        0.026)  # fmt: skip

    def _shoulder_strap(self) -> None:
        """The strap's visible run, in front or behind, from the other shoulder to the bag."""
        side = self.person.bag_side
        near = 0.073 if np.cos(self.view.yaw) > 0 else -0.073
        self._strap([(-0.6 * side, 1.04, 0.0), (-0.35 * side, 0.85, near),
                     (0.3 * side, 0.4, near), (0.85 * side, 0.02, 0.5 * near)], SHOULDER_BAG,
                    0.022)  # fmt: skip

    def _shoulder_bag(self) -> None:
        side, colour = self.person.bag_side, self.person.bag
        centre, frame = self._at_hip(), self.figure.torso
        self._box(centre, frame, (0.035, 0.07, 0.085), colour, SHOULDER_BAG)
        flap = centre + frame @ np.array([0.036 * side, 0.025, 0])
        if self.view.depth(flap) > self.view.depth(centre):
            self._box(flap, frame, (0.003, 0.03, 0.087), shaded(colour, 0.7), SHOULDER_BAG)

    def _handbag(self) -> None:
        hand, colour = self._bag_hand(), self.person.bag
        centre = hand - [0, 0.115, 0]
        for z in (-0.045, 0.045):
            loop = np.stack([centre + [0, 0.06, z], hand, centre + [0, 0.06, -0.2 * z]])
            self.canvas.line(self.view.project(loop)[0], 0.012 * self.view.scale,
                             shaded(colour, 0.6), HANDBAG)  # fmt: skip
        self._box(centre, np.eye(3), (0.034, 0.062, 0.085), colour, HANDBAG)
        self._box(centre + [0, 0.048, 0], np.eye(3), (0.036, 0.014, 0.087),
                  shaded(colour, 0.65), HANDBAG)  # fmt: skip

    def _held_object(self) -> None:
        hands = np.stack([self.joints[f'{side}_hand'] for side in SIDES])
        centre = hands.mean(0) + [0, 0.035, 0.02]
        half = (max(0.09, 0.45 * float(np.ptp(hands[:, 0]))), 0.075, 0.06)
        self._box(centre, np.eye(3), half, self.person.bag, HELD_OBJECT)
        lid = np.stack([centre + [x, 0.075, 0.06] for x in (-half[0], half[0])])
        tape = np.stack([centre + [0, y, 0.061] for y in (-0.075, 0.075)])
        for run in (lid, tape):
            if self.view.depth(centre + [0, 0, 0.06]) > self.view.depth(centre):
                self.canvas.line(self.view.project(run)[0], 0.016 * self.view.scale,
                                 shaded(self.person.bag, 0.6), HELD_OBJECT)  # fmt: skip

    def _seat(self) -> None:
        pelvis = self.joints['pelvis']
        top = pelvis[1] - 0.07
        colour: Colour = (60, 90, 125)
        for x, z in ((-0.13, -0.1), (0.13, -0.1), (-0.13, 0.12), (0.13, 0.12)):
            leg = np.array([[x, 0.0, z], [x, top, z]])
            self.canvas.line(self.view.project(leg)[0], 0.025 * self.view.scale,
                             shaded(colour, 0.6), SEAT)  # fmt: skip
        self._box(np.array([0, top - 0.02, 0.02]), np.eye(3), (0.18, 0.02, 0.16), colour, SEAT)
