"""Drawing of a person from back to front: body and clothes."""

import numpy as np

from .canvas import DARK, LIT, Painter, Tube, capsule, tube
from .head import HeadPainter
from .names import LOGO, part
from .person import Colour, Garment, Person, shaded
from .skeleton import SIDES, Array
from .things import Draw, Layer, ThingPainter

_UPPER_PART = {
    'shirt': 'UpperClothes', 'jacket': 'Coat', 'coat': 'Coat', 'dress': 'Dress',
    'jumpsuit': 'Jumpsuits',
}  # fmt: skip
# Height along the spine (0 pelvis, 1 thorax) and share of the shoulders' width of the rows of the
# torso between waist and neck.
_CHEST_ROWS = ((0.72, 0.9), (0.88, 0.98), (0.98, 0.9), (1.06, 0.6))


def garment_label(person: Person) -> int:
    """LIP's label of the upper garment."""
    return part(_UPPER_PART[person.upper_kind])


class FigurePainter(Painter):
    """Draws one figure onto a canvas."""

    def paint(self) -> None:
        """Collect the layers, sort them by depth and draw them."""
        person, view, joints = self.person, self.view, self.joints
        everything = (self.canvas, view, person, self.body, self.figure)
        self.head = HeadPainter(*everything)
        chest = view.depth(np.stack([joints['pelvis'], joints['thorax']]))
        self.layers: list[Layer] = []
        self._add(view.depth(self.head.back_hair_centre), self.head.draw_back_hair)
        self._add(view.depth(joints['head_centre']) + 0.08, self.head.draw)
        self._add(chest + 0.001, self._torso)
        self._add(chest - 0.2, self._hips)
        for side in SIDES:
            self._leg_layers(side)
            self._arm_layers(side)
        if person.lower_kind == 'skirt' or person.upper_kind in ('dress', 'coat'):
            self._add(chest - 0.15, self._skirt)
        self.layers += ThingPainter(*everything).layers(chest)
        for _, draw in sorted(self.layers, key=lambda layer: layer[0]):
            draw()

    def _add(self, depth: float, draw: Draw) -> None:
        self.layers.append((depth, draw))

    # ------------------------------------------------------------------ cloth and skin

    def _shape(self, shape: Tube, colour: Colour, code: int, caps: bool = False) -> None:
        """Fill a tube (with round ends where asked) and shade it as something round."""
        canvas, light = self.canvas, self.view.light
        outline = shape.patch()
        canvas.fill(outline, colour, code)
        if caps:
            for middle, across in zip(shape.middle, shape.across, strict=True):
                canvas.disc(middle, float(np.hypot(*across)), colour, code)
        dark = (-1.0, -0.42) if light > 0 else (0.42, 1.0)
        lit = (0.2, 0.62) if light > 0 else (-0.62, -0.2)
        canvas.darken(shape.patch(0, 1, *dark), DARK)
        canvas.darken(shape.patch(0, 1, *lit), LIT)
        half = len(outline) // 2
        canvas.crease(outline[:half])
        canvas.crease(outline[half:])

    def _pattern(self, shape: Tube, garment: Garment, v0: float, v1: float, size: float) -> None:
        """Draw a garment's pattern on the stretch v0 to v1 of a tube, in bands of ``size``."""
        canvas, second = self.canvas, garment.second
        if garment.pattern in ('stripes', 'plaid'):
            width = size * (0.5 if garment.pattern == 'stripes' else 0.3)
            starts = np.arange(v0 + 0.3 * size, v1 - width, size).tolist()
            for start in starts:
                canvas.tint(shape.patch(start, start + width), second)
        if garment.pattern == 'plaid':
            for middle in (-0.62, 0.0, 0.62):
                canvas.tint(shape.patch(v0, v1, middle - 0.13, middle + 0.13), second)
                for start in starts:
                    cross = shape.patch(start, start + width, middle - 0.13, middle + 0.13)
                    canvas.tint(cross, shaded(second, 0.55))
        elif garment.pattern == 'side':
            canvas.tint(shape.patch(v0, v1, -0.28, 0.28), second)
        elif garment.pattern == 'dots':
            middles = np.arange(v0 + 0.4 * size, v1 - 0.2 * size, size).tolist()
            for row, middle in enumerate(middles):
                for across in (-0.45, 0.45) if row % 2 else (0.0,):
                    at = shape.point(middle, across)
                    canvas.disc_tint(at, 0.018 * self.view.scale, second)

    # ------------------------------------------------------------------ torso

    def _rows(self, rows: list[tuple[float, float, float]]) -> Tube:
        """A tube along the spine from rows of (height along the spine, half width, half depth)."""
        table = np.array(rows)
        pelvis, torso = self.joints['pelvis'], self.figure.torso
        centres = pelvis + (table[:, :1] * self.body.torso) * torso[:, 1]
        return tube(self.view, centres, torso, table[:, 1], table[:, 2])

    def _torso(self) -> None:
        person, body, canvas = self.person, self.body, self.canvas
        code, cloth = garment_label(person), person.upper
        belly = 1.18 if person.age == 'old' else 1.0
        depth = 0.07 * body.girth
        waist = 1.15 * body.waist if person.upper_kind in ('coat', 'jacket') else body.waist
        rows = [(v, w * body.shoulder, depth * (1.05 if v < 0.95 else 0.62))
                for v, w in _CHEST_ROWS][::-1]  # fmt: skip
        rows += [(0.35, waist * belly, depth * belly), (0.12, 0.97 * body.hip, depth * belly)]
        if person.upper_kind in ('shirt', 'jacket'):
            rows += [(-0.06, 1.06 * body.hip, depth * 1.02)]
        self.head.draw_neck()
        shape = self._rows(rows)
        self._shape(shape, cloth.colour, code)
        if cloth.pattern == 'splice':
            canvas.tint(shape.patch(0, 0.56), cloth.second)
        self._pattern(shape, cloth, 0.05, 1.0, 0.19)
        if np.cos(self.view.yaw) > 0.1:
            self._front(depth, code)
        self.head.draw_scarf()

    def _on_chest(self, points: list[tuple[float, float]], depth: float) -> Array:
        """Pixels of points on the front: share of the shoulder width, height along the spine."""
        torso, pelvis = self.figure.torso, self.joints['pelvis']
        local = np.array([[u * self.body.shoulder, v * self.body.torso,
                           depth * np.sqrt(max(0.0, 1 - u * u))] for u, v in points])  # fmt: skip
        return self.view.project(pelvis + local @ torso.T)[0]

    def _front(self, depth: float, code: int) -> None:
        """What only the front shows: neckline, opening, buttons, logo."""
        person, canvas = self.person, self.canvas
        kind, cloth = person.upper_kind, person.upper
        if kind in ('jacket', 'coat'):
            inner = [(-0.26, 1.03), (0.26, 1.03), (0.08, 0.05), (-0.08, 0.05)]
            canvas.fill(self._on_chest(inner, depth), cloth.second, part('UpperClothes'))
            for sign in (-1, 1):
                canvas.crease(self._on_chest([(0.26 * sign, 1.03), (0.08 * sign, 0.05)], depth))
        else:
            neckline = [(-0.3, 1.04), (0.3, 1.04), (0.0, 0.84 if person.female else 0.92)]
            canvas.fill(self._on_chest(neckline, depth), person.skin, part('Face'))
        if kind == 'jumpsuit':
            canvas.crease(self._on_chest([(0, 0.9), (0, 0.0)], depth))
        if person.logo:
            badge = [(-0.42, 0.74), (0.42, 0.74), (0.42, 0.44), (-0.42, 0.44)]
            canvas.fill(self._on_chest(badge, depth), cloth.second, LOGO)
            mark = [(-0.22, 0.66), (0.22, 0.66), (0.0, 0.5)]
            canvas.tint(self._on_chest(mark, depth), cloth.colour)

    def _lower_cloth(self) -> tuple[Garment, int]:
        person = self.person
        if person.lower_kind == 'none':
            return person.upper, garment_label(person)
        return person.lower, part('Skirt' if person.lower_kind == 'skirt' else 'Pants')

    def _hips(self) -> None:
        body, (cloth, code) = self.body, self._lower_cloth()
        depth = 0.075 * body.girth
        shape = self._rows([(0.2, body.hip, depth), (0.0, 1.02 * body.hip, 1.05 * depth),
                            (-0.17, 0.86 * body.hip, 0.9 * depth)])  # fmt: skip
        self._shape(shape, cloth.colour, code)

    def _skirt(self) -> None:
        """The part of a skirt, dress or long coat below the waist: covers both legs to the hem."""
        person, body, joints = self.person, self.body, self.joints
        if person.upper_kind in ('dress', 'coat'):
            cloth, code, top = person.upper, garment_label(person), 0.2
        else:
            cloth, code, top = person.lower, part('Skirt'), 0.24
        # A coat reaches below the knees, a skirt or dress ends above them.
        reach = 1.28 if person.upper_kind == 'coat' else 0.86
        knees = np.stack([joints[f'{side}_knee'] for side in SIDES])
        spread = np.abs(knees - joints['pelvis']).max(0)
        down = joints['pelvis'] + reach * (knees.mean(0) - joints['pelvis'])
        waist = joints['pelvis'] + top * body.torso * self.figure.torso[:, 1]
        share = np.array([0.0, 0.22, 0.6, 1.0])[:, None]
        centres = (1 - share) * waist + share * down
        flare = 0.055 if code == part('Coat') else 0.075
        wide = np.array([1.0, 1.12, 1.2, 1.25]) * body.hip
        wide = np.maximum(wide, share[:, 0] * (spread[0] + flare) * min(reach, 1.0))
        deep = np.maximum(0.08, share[:, 0] * (spread[2] + flare) * min(reach, 1.0)) * body.girth
        shape = tube(self.view, centres, np.eye(3), wide, deep)
        self._shape(shape, cloth.colour, code)
        self._pattern(shape, cloth, 0.06, 1.0, 0.2)
        if code == part('Skirt'):
            self._pattern_skirt_stripe(shape, cloth)
        if code == part('Coat') and np.cos(self.view.yaw) > 0.1:
            self.canvas.crease(shape.patch(0, 1, 0, 0))

    def _pattern_skirt_stripe(self, shape: Tube, cloth: Garment) -> None:
        if cloth.pattern == 'side':
            for middle in (-0.75, 0.75):
                self.canvas.tint(shape.patch(0, 1, middle - 0.12, middle + 0.12), cloth.second)

    # ------------------------------------------------------------------ limbs

    def _leg_layers(self, side: str) -> None:
        joints, view = self.joints, self.view
        hip, knee, ankle = (joints[f'{side}_{end}'] for end in ('hip', 'knee', 'ankle'))
        # Legs go below shirt and skirt, except thighs that point at the camera.
        raised = knee[1] > hip[1] - 0.1 * self.body.thigh / 0.24
        drop = 0.0 if raised and view.depth(knee) > 0.1 else -0.5
        self._add(view.depth(np.stack([hip, knee])) + drop, lambda: self._thigh(side))
        self._add(view.depth(np.stack([knee, ankle])) + drop + 0.02, lambda: self._shin(side))
        self._add(view.depth(ankle) + drop + 0.03, lambda: self._shoe(side))

    def _leg(self, side: str, start: float, end: float, radii: tuple[float, float]) -> Tube:
        """A stretch of the leg: 0 hip, 1 knee, 2 ankle; both on the same bone."""
        names = ('hip', 'knee', 'ankle')
        bone = min(int(start), 1)
        a, b = (self.joints[f'{side}_{names[bone + i]}'] for i in (0, 1))
        share = np.array([[start - bone], [end - bone]])
        return capsule(self.view, a + share * (b - a), np.array(radii) * self.body.girth)

    def _thigh(self, side: str) -> None:
        person, (cloth, code) = self.person, self._lower_cloth()
        skin = part('Left-leg' if side == 'left' else 'Right-leg')
        covered = person.lower_kind == 'trousers' or person.upper_kind == 'jumpsuit'
        if covered:
            shape = self._leg(side, 0, 1, (0.055, 0.047))
        else:
            self._shape(self._leg(side, 0, 1, (0.05, 0.04)), person.skin, skin, caps=True)
            if person.lower_kind != 'shorts':
                return
            shape = self._leg(side, 0, 0.72, (0.056, 0.06))
        self._shape(shape, cloth.colour, code)
        self.canvas.disc(shape.middle[0], float(np.hypot(*shape.across[0])), cloth.colour, code)
        if covered:
            self.canvas.disc(shape.middle[1], float(np.hypot(*shape.across[1])), cloth.colour, code)
        self._pattern(shape, cloth, 0.0, 1.0, 0.24)

    def _shin(self, side: str) -> None:
        person, (cloth, code) = self.person, self._lower_cloth()
        if person.lower_kind == 'trousers' or person.upper_kind == 'jumpsuit':
            shape = self._leg(side, 1, 1.95, (0.047, 0.038))
            self._shape(shape, cloth.colour, code)
            self._pattern(shape, cloth, 0.0, 1.0, 0.24)
        else:
            skin = part('Left-leg' if side == 'left' else 'Right-leg')
            self._shape(self._leg(side, 1, 2, (0.042, 0.027)), person.skin, skin, caps=True)
            if person.socks is not None:
                sock = self._leg(side, 1.5, 2, (0.041, 0.031))
                self._shape(sock, person.socks, part('Socks'), caps=True)

    def _shoe(self, side: str) -> None:
        person, joints = self.person, self.joints
        code = part('Left-shoe' if side == 'left' else 'Right-shoe')
        ankle, heel, toe = (joints[f'{side}_{end}'] for end in ('ankle', 'heel', 'toe'))
        radii = np.array([0.03, 0.024]) * (0.5 + 0.5 * self.body.girth)
        foot = capsule(self.view, np.stack([heel, toe]), radii)
        leg = capsule(self.view, np.stack([ankle, heel]), np.full(2, radii[0]))
        self._shape(leg, person.shoes, code, caps=True)
        self._shape(foot, person.shoes, code, caps=True)
        sole = np.stack([heel, toe]) - [0, 0.02, 0]
        self.canvas.line(self.view.project(sole)[0], 0.012 * self.view.scale,
                         shaded(person.shoes, 0.45), code)  # fmt: skip
        if person.boots:
            shaft = self._leg(side, 1.42, 2, (0.05, 0.042))
            self._shape(shaft, person.shoes, code)
            self.canvas.tint(shaft.patch(0, 0.18), shaded(person.shoes, 0.5))

    def _arm_layers(self, side: str) -> None:
        joints, view = self.joints, self.view
        shoulder, elbow, wrist, hand = (
            joints[f'{side}_{end}'] for end in ('shoulder', 'elbow', 'wrist', 'hand'))  # fmt: skip
        # Ahead of the torso in a tie; an arm on the far side goes below the legs too.
        bias = 0.045 + (0.06 if self.person.carries == 'object' else 0.0)
        upper, lower = view.depth(np.stack([shoulder, elbow])), view.depth(np.stack([elbow, wrist]))
        far = -0.6 if min(upper, view.depth(shoulder)) < -0.06 and lower < 0 else 0.0
        self._add(upper + bias + far, lambda: self._upper_arm(side))
        self._add(lower + bias + far + 0.004, lambda: self._forearm(side))
        self._add(view.depth(hand) + bias + far + 0.03, lambda: self._hand(side))

    def _arm(self, side: str, a: str, b: str, share: float, radii: tuple[float, float]) -> Tube:
        start, end = self.joints[f'{side}_{a}'], self.joints[f'{side}_{b}']
        ends = np.stack([start, start + share * (end - start)])
        return capsule(self.view, ends, np.array(radii) * self.body.girth)

    def _sleeve(self, shape: Tube, caps: bool) -> None:
        cloth, code = self.person.upper, garment_label(self.person)
        colour = cloth.second if cloth.pattern == 'splice' else cloth.colour
        self._shape(shape, colour, code, caps)
        self._pattern(shape, cloth, 0.0, 1.0, 0.36)

    def _upper_arm(self, side: str) -> None:
        if self.person.long_sleeves:
            self._sleeve(self._arm(side, 'shoulder', 'elbow', 1, (0.041, 0.037)), caps=True)
            return
        skin = part('Left-arm' if side == 'left' else 'Right-arm')
        arm = self._arm(side, 'shoulder', 'elbow', 1, (0.036, 0.031))
        self._shape(arm, self.person.skin, skin, caps=True)
        sleeve = self._arm(side, 'shoulder', 'elbow', 0.6, (0.04, 0.044))
        self._sleeve(sleeve, caps=False)
        cloth = self.person.upper
        colour = cloth.second if cloth.pattern == 'splice' else cloth.colour
        self.canvas.disc(sleeve.middle[0], float(np.hypot(*sleeve.across[0])), colour,
                         garment_label(self.person))  # fmt: skip

    def _forearm(self, side: str) -> None:
        if self.person.long_sleeves:
            self._sleeve(self._arm(side, 'elbow', 'wrist', 0.96, (0.037, 0.031)), caps=False)
            return
        skin = part('Left-arm' if side == 'left' else 'Right-arm')
        arm = self._arm(side, 'elbow', 'wrist', 1, (0.031, 0.023))
        self._shape(arm, self.person.skin, skin, caps=True)

    def _hand(self, side: str) -> None:
        person = self.person
        skin = part('Left-arm' if side == 'left' else 'Right-arm')
        colour, code = person.skin, skin
        if person.gloves is not None:
            colour, code = person.gloves, part('Glove')
        size = 0.021 + 0.004 * (person.gloves is not None)
        self._shape(self._arm(side, 'wrist', 'hand', 1, (size, 1.15 * size)), colour, code,
                    caps=True)  # fmt: skip
