"""Drawing of the head: face, hair, beard, glasses, hats."""

from functools import cached_property

import numpy as np

from .canvas import DARK, Ellipsoid, Painter, capsule
from .names import part
from .person import Colour, shaded
from .skeleton import Array

_HAT, _HAIR, _GLASSES, _FACE = part('Hat'), part('Hair'), part('Sunglasses'), part('Face')
_GLASS: Colour = (22, 18, 18)
_EYES = ((0.36, 0.1, 0.93), (-0.36, 0.1, 0.93))


class HeadPainter(Painter):
    """Draws a person's head, neck and scarf."""

    @property
    def size(self) -> float:
        """Height of the head."""
        return self.body.head

    @property
    def centre(self) -> Array:
        """Middle of the head, shape (3,)."""
        return self.joints['head_centre']

    @cached_property
    def skull(self) -> Ellipsoid:
        """The head without hair."""
        return self._ellipsoid((0, 0, 0), (0.385, 0.52, 0.44))

    def _ellipsoid(self, offset: tuple[float, ...], radii: tuple[float, ...]) -> Ellipsoid:
        """An ellipsoid placed and sized in units of the head's height."""
        centre = self.centre + self.figure.head @ (np.array(offset) * self.size)
        return Ellipsoid(self.view, centre, self.figure.head, np.array(radii) * self.size)

    @property
    def back_hair_centre(self) -> Array:
        """Where the hair behind the head is, for sorting."""
        return self.centre + self.figure.head @ np.array([0, -0.3, -0.25]) * self.size

    def draw_back_hair(self) -> None:
        """Hair that hangs behind the head: long, in a tail or in a bun."""
        shapes = {
            'long': ((0, -0.42, -0.2), (0.43, 0.72, 0.24)),
            'bob': ((0, -0.2, -0.12), (0.47, 0.42, 0.33)),
            'ponytail': ((0, -0.2, -0.5), (0.13, 0.56, 0.13)),
            'bun': ((0, 0.3, -0.5), (0.2, 0.2, 0.2)),
        }
        if self.person.hair_style not in shapes:
            return
        outline = self._ellipsoid(*shapes[self.person.hair_style]).outline()
        self.canvas.fill(outline, self.person.hair, _HAIR)
        self.canvas.crease(outline)

    def draw(self) -> None:
        """Everything else, over the neck."""
        self._skull_and_face()
        if self.person.glasses:
            self._glasses()
        if self.person.hat != 'none':
            self._hat()

    def _patch(self, shape: Ellipsoid, direction: tuple[float, float, float], angle: float,
               colour: Colour, code: int) -> None:  # fmt: skip
        polygon = shape.cap(direction, angle)
        if polygon is not None:
            self.canvas.fill(polygon, colour, code)

    def _skull_and_face(self) -> None:
        person, skull, canvas = self.person, self.skull, self.canvas
        bald = person.hair_style == 'bald'
        outline = skull.outline()
        if bald:
            canvas.fill(outline, person.skin, _FACE)
        else:
            hair = self._ellipsoid((0, 0.03, -0.02), (0.42, 0.54, 0.47))
            canvas.fill(hair.outline(), person.hair, _HAIR)
            self._patch(skull, (0, -1, -0.25), 50, person.skin, _FACE)  # the nape and jaw
            self._patch(skull, (0, -0.28, 1), 66 if person.female else 71, person.skin, _FACE)
        for side in (1, -1):
            if skull.faces((side, -0.1, -0.1)) > 0.15 and person.hair_style in ('short', 'bald'):
                ear = skull.points(np.array([[side, -0.05, -0.1]]))[0]
                canvas.disc(ear, 0.085 * self.size * skull.unit, person.skin, _FACE)
                canvas.crease(skull.points(np.array([[side, 0.1, -0.1], [side, -0.2, -0.1]])))
        if person.beard:
            self._patch(skull, (0, -0.85, 0.62), 36, person.hair, _FACE)
        shadow = skull.cap((-self.view.light, -0.1, 0.2), 42)
        if shadow is not None:
            canvas.darken(shadow, DARK + 12)
        canvas.crease(outline)
        self._features()

    def _features(self) -> None:
        skull, canvas = self.skull, self.canvas
        stroke = 0.045 * self.size * skull.unit
        for eye in _EYES:
            if skull.faces(eye) > 0.1:
                at = skull.points(np.array([eye]))[0]
                canvas.disc(at, 1.25 * stroke, (245, 245, 245), _FACE)
                canvas.disc(at, 0.85 * stroke, (35, 25, 20), _FACE)
        dark = shaded(self.person.skin, 0.62)
        if skull.faces((0, -0.1, 1)) > 0.1:
            nose = np.array([[0, 0.05, 1.0], [0, -0.2, 1.18], [0, -0.24, 1.0]])
            canvas.fill(skull.points(nose), self.person.skin, _FACE)
            canvas.line(skull.points(nose[1:]), 0.7 * stroke, dark, _FACE)
            mouth = np.array([[0.22, -0.52, 0.84], [0, -0.56, 0.86], [-0.22, -0.52, 0.84]])
            canvas.line(skull.points(mouth), 0.9 * stroke, (70, 60, 165), _FACE)

    def _glasses(self) -> None:
        skull, canvas = self.skull, self.canvas
        stroke = 0.06 * self.size * skull.unit
        for side in (1, -1):
            middle = np.array([0.38 * side, 0.1, 0.97])
            if skull.faces((0.38 * side, 0.1, 0.97)) > 0.05:
                turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
                lens = middle + np.stack(
                    [0.31 * np.cos(turn), 0.21 * np.sin(turn), 0 * turn], 1)  # fmt: skip
                lens[:, 2] -= 0.5 * side * (lens[:, 0] - middle[0])  # follows the cheek
                canvas.fill(skull.points(lens), _GLASS, _GLASSES)
            if skull.faces((side, 0.12, 0.1)) > 0.1:
                temple = np.array([[0.72 * side, 0.12, 0.74], [1.02 * side, 0.12, 0.0]])
                canvas.line(skull.points(temple), stroke, _GLASS, _GLASSES)
        if skull.faces((0, 0.12, 1)) > 0.2:
            bridge = np.array([[0.2, 0.14, 1.02], [-0.2, 0.14, 1.02]])
            canvas.line(skull.points(bridge), stroke, _GLASS, _GLASSES)

    def _hat(self) -> None:
        person, canvas = self.person, self.canvas
        colour = person.hat_colour
        band = shaded(colour, 0.55)
        tall = {'cap': 0.56, 'beanie': 0.62, 'brim': 0.66}[person.hat]
        crown = self._ellipsoid((0, 0.06, -0.01), (0.45, tall, 0.49))
        low = {'cap': 74, 'beanie': 80, 'brim': 76}[person.hat]
        if person.hat == 'brim':
            turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
            ring = np.stack([1.75 * np.sin(turn), 0.3 + 0 * turn, 1.65 * np.cos(turn)], 1)
            disc = crown.points(ring)
            canvas.fill(disc, band, _HAT)
            # Seen from the side the disc is a line: give it a thickness.
            canvas.line(np.concatenate([disc, disc[:1]]), 0.1 * self.size * crown.unit, colour,
                        _HAT)  # fmt: skip
        self._patch(crown, (0, 1, -0.12), low, colour, _HAT)
        shadow = crown.cap((-self.view.light, 0.9, 0), 40)
        if shadow is not None:
            canvas.darken(shadow, DARK)
        if person.hat == 'beanie':
            for height in (0.28, 0.36):
                turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
                rim = np.stack([np.sin(turn), height + 0 * turn, np.cos(turn)], 1)
                rim[:, [0, 2]] *= np.sqrt(1 - height**2)
                front = rim[rim @ crown.to_camera > 0]
                front = front[np.argsort(crown.points(front)[:, 0])]
                canvas.line(crown.points(front), 0.07 * self.size * crown.unit, band, _HAT)
        elif person.hat == 'cap' and crown.faces((0, 0.2, 1)) > -0.25:
            turn = np.linspace(-1.0, 1.0, 12)
            edge = np.stack([0.98 * np.sin(turn), 0.24 + 0 * turn, np.cos(turn)], 1)
            visor = np.stack([0.92 * np.sin(turn), 0.1 + 0 * turn, 0.5 + 1.25 * np.cos(turn)], 1)
            canvas.fill(crown.points(np.concatenate([edge, visor[::-1]])), band, _HAT)

    def draw_neck(self) -> None:
        """The neck, which LIP counts as face."""
        thorax, radius = self.joints['thorax'], 0.27 * self.size
        ends = np.stack([thorax, 0.5 * (thorax + self.centre)])
        neck = capsule(self.view, ends, np.array([radius, radius]))
        self.canvas.fill(neck.patch(), self.person.skin, _FACE)

    def draw_scarf(self) -> None:
        """A scarf, where one is worn, with an end that hangs down in front."""
        colour, canvas, view, body = self.person.scarf, self.canvas, self.view, self.body
        if colour is None:
            return
        code, torso = part('Scarf'), self.figure.torso
        thorax, neck = self.joints['thorax'], self.joints['upper_neck']
        middle = 0.35 * thorax + 0.65 * neck
        wrap = Ellipsoid(view, middle, torso, np.array([0.44, 0.2, 0.42]) * body.head)
        chest = thorax + torso @ np.array([0.3 * body.head, -0.01, 0.07 * body.girth])
        if view.depth(chest) > view.depth(thorax):
            end = chest + torso @ np.array([0.0, -0.42 * body.torso, 0.02])
            tail = capsule(view, np.stack([chest, end]), np.array([0.026, 0.032]))
            canvas.fill(tail.patch(), colour, code)
            canvas.crease(tail.patch())
        canvas.fill(wrap.outline(), colour, code)
        canvas.crease(wrap.outline())
