"""What was said, drawn over the picture itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from matplotlib.font_manager import findfont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .results import Result
from .task_results import (
    Attributes,
    Boxes,
    Classes,
    Keypoints,
    LabelMap,
    ValueMap,
    VectorMap,
)

# A picture smaller than this is enlarged, so that what is drawn can be seen.
SMALLEST = 480
SHARE = 0.55
SURE_JOINT, SURE_BOX, SURE_ATTRIBUTE = 0.1, 0.3, 0.5
WHITE, INK = (255, 255, 255), (34, 48, 60)
PEOPLE = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14))
MAX_WORDS, MAX_WORDS_IN_A_CROWD = 6, 2


def draw_overlay(result: Result) -> NDArray[np.uint8]:
    """Draw label maps, boxes, skeletons and words over the picture of a result.

    Maps of numbers and vectors are drawn only where there is nothing else.

    Args:
        result: The result, with its picture.

    Returns:
        shape [H x W x 3], BGR; a small picture is enlarged by a whole number.

    Raises:
        ValueError: If the result has no picture.
    """
    if result.image is None:
        raise ValueError('the picture is gone: draw results of MultiTaskInferencer.stream')
    factor = max(1, round(SMALLEST / max(result.image.shape[:2])))
    canvas = _Canvas(result.image, factor)
    parts = [said for _, said, _ in result.parts()]
    only_maps = not any(isinstance(said, LabelMap | Boxes | Keypoints) for said in parts)
    for said in parts:
        if isinstance(said, LabelMap):
            canvas.labels(said)
        elif only_maps and isinstance(said, ValueMap | VectorMap):
            canvas.map(said)
    for said in parts:
        if isinstance(said, Boxes):
            canvas.boxes(said)
        elif isinstance(said, Keypoints):
            canvas.skeletons(said)
    if result.people is None:
        canvas.words(_words(parts), (0, 0))
    people = result.people or ()
    for number, person in enumerate(people):
        words = _words(list(person.tasks.values()))
        canvas.person(number, person.box, words, alone=len(people) == 1)
    return canvas.finished()


def _words(parts: Sequence[object]) -> list[str]:
    """The sure attributes and the classes, in words."""
    words: list[tuple[float, str]] = []
    for said in parts:
        if isinstance(said, Classes):
            words.append((1 + said.probability, f'{said.name} {said.probability:.2f}'))
        elif isinstance(said, Attributes):
            words += [
                (float(score), f'{name} {score:.2f}')
                for name, score in zip(said.names, said.probabilities, strict=True)
                if score >= SURE_ATTRIBUTE
            ]
    return [text for _, text in sorted(words, key=lambda word: -word[0])[:MAX_WORDS]]


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(findfont('DejaVu Sans'), size)


class _Canvas:
    """A picture in RGB, enlarged by a factor, and lines as thick as it is large."""

    def __init__(self, image: NDArray[np.uint8], factor: int) -> None:
        height, width = (factor * length for length in image.shape[:2])
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        self.rgb: NDArray[np.uint8] = np.array(resized[..., ::-1], np.uint8, order='C')
        self.factor = factor
        self.line = max(1, round(max(height, width) / 300))
        self.texts: list[tuple[float, float, str, tuple[int, int, int], bool]] = []

    def _part(self, origin: tuple[int, int], shape: Sequence[int]) -> NDArray[np.uint8]:
        """The part of the picture that a map covers; it can be written to."""
        (x, y), (height, width), f = origin, shape[:2], self.factor
        return self.rgb[f * y : f * (y + height), f * x : f * (x + width)]

    def _enlarged(self, values: NDArray) -> NDArray:
        return values.repeat(self.factor, axis=0).repeat(self.factor, axis=1)

    def labels(self, said: LabelMap) -> None:
        """Mix the colours of the classes in, and leave the background as it is."""
        part = self._part(said.origin, said.labels.shape)
        labels = self._enlarged(said.labels)
        shown = ~np.isin(labels, said.background)
        mixed = (1 - SHARE) * part[shown] + SHARE * said.palette[labels[shown]]
        part[shown] = mixed.astype(np.uint8)

    def map(self, said: ValueMap | VectorMap) -> None:
        """Colours in place of the picture: from dark, near, to light, far; or of directions."""
        if isinstance(said, ValueMap):
            low, high = float(said.values.min()), float(said.values.max())
            levels = np.rint(255 * (said.values - low) / max(high - low, 1e-9)).astype(np.uint8)
            colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
        elif said.vectors.shape[2] == 3:
            colours = np.clip((said.vectors + 1) * 127.5, 0, 255).astype(np.uint8)
        else:
            return
        part = self._part(said.origin, colours.shape)
        part[:] = ((1 - SHARE) * part + SHARE * self._enlarged(colours)).astype(np.uint8)

    def boxes(self, said: Boxes) -> None:
        """Boxes, masks and names of what is sure."""
        for i in np.flatnonzero(said.scores >= SURE_BOX):
            colour = tuple(int(value) for value in said.palette[said.labels[i]])
            if said.masks is not None:
                mask = self._enlarged(said.masks[i])
                part = self._part(said.origin, said.masks[i].shape)
                part[mask] = ((1 - SHARE) * part[mask] + SHARE * np.array(colour)).astype(np.uint8)
            name = said.names[said.labels[i]]
            self._rectangle(said.xyxy[i], colour, f'{name} {said.scores[i]:.2f}')

    def _rectangle(self, box: Sequence[float], colour: tuple[int, ...], text: str) -> None:
        x1, y1, x2, y2 = (round(float(value) * self.factor) for value in box)
        cv2.rectangle(self.rgb, (x1, y1), (x2, y2), colour, self.line, cv2.LINE_AA)
        if text:
            self.texts.append((x1, y1, text, (colour[0], colour[1], colour[2]), False))

    def skeletons(self, said: Keypoints) -> None:
        """Lines and joints of what is sure, with a white edge."""
        colours = np.zeros((len(said.names), 3), np.uint8) if said.colours is None else said.colours
        lines = (
            np.zeros((len(said.links), 3), np.uint8)
            if said.link_colours is None
            else said.link_colours
        )
        for points, scores in zip(said.xy, said.scores, strict=True):
            sure = (scores >= SURE_JOINT) & np.isfinite(points).all(1)
            # The middle of a pixel, in sixteenths.
            places = np.rint((np.nan_to_num(points) + 0.5) * self.factor * 16).astype(int)
            for width, edge in ((2, True), (1, False)):
                for (a, b), colour in zip(said.links, lines, strict=True):
                    if sure[a] and sure[b]:
                        ink = WHITE if edge else tuple(map(int, colour))
                        self._line(places[a], places[b], ink, width)
            for place, colour, drawn in zip(places, colours, sure, strict=True):
                if drawn:
                    self._dot(place, WHITE, 2)
                    self._dot(place, tuple(map(int, colour)), 1)

    def _line(self, a: NDArray, b: NDArray, colour: tuple[int, ...], width: int) -> None:
        thick = max(1, self.line * width)
        start, end = tuple(a.tolist()), tuple(b.tolist())
        cv2.line(self.rgb, start, end, colour, thick, cv2.LINE_AA, shift=4)

    def _dot(self, place: NDArray, colour: tuple[int, ...], edge: int) -> None:
        radius = round(16 * self.line * (1.2 + 0.4 * edge))
        centre = tuple(place.tolist())
        cv2.circle(self.rgb, centre, radius, colour, -1, cv2.LINE_AA, shift=4)

    def person(self, number: int, box: Sequence[float], words: Sequence[str], alone: bool) -> None:
        """A person's box with its words, in a crowd a few within the box."""
        colour = PEOPLE[number % len(PEOPLE)]
        self._rectangle(box, colour, '')
        if not alone:
            top = box[1] * self.factor + self.line
            few = words[:MAX_WORDS_IN_A_CROWD]
            self.words(few, (box[0] * self.factor + self.line, top), colour)
            return
        # Beside the person, on the side where there is more room.
        right = self.rgb.shape[1] - box[2] * self.factor
        left = box[0] * self.factor - right > 0
        corner = (box[0 if left else 2] * self.factor, box[1] * self.factor)
        self.words(words, corner, colour, left)

    def words(
        self,
        words: Sequence[str],
        corner: tuple[float, float],
        colour: tuple[int, int, int] = INK,
        left: bool = False,
    ) -> None:
        """Lines of words, below each other, to the right of a corner or to its left."""
        for row, text in enumerate(words):
            top = corner[1] + row * 1.4 * self._text_size()
            self.texts.append((corner[0], top, text, colour, left))

    def _text_size(self) -> int:
        return max(10, round(max(self.rgb.shape[:2]) / 45))

    def finished(self) -> NDArray[np.uint8]:
        """The picture with its texts, BGR."""
        image = Image.fromarray(self.rgb)
        pen = ImageDraw.Draw(image)
        font = _font(self._text_size())
        for x, y, text, colour, to_left in self.texts:
            left, top, right, below = pen.textbbox((0, 0), text, font=font)
            x -= right - left + 6 if to_left else 0
            # Within the picture where there is room.
            x = max(0, min(x, image.width - (right - left) - 6))
            y = max(0, min(y, image.height - (below - top) - 6))
            pen.rectangle((x, y, x + right - left + 6, y + below - top + 5), fill=colour)
            dark = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 140
            pen.text((x + 3 - left, y + 2 - top), text, font=font, fill=WHITE if dark else INK)
        return np.ascontiguousarray(np.asarray(image)[..., ::-1])
