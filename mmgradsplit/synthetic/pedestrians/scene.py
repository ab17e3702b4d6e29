"""What surrounds a person: backgrounds, light, blur, noise and occluders, by style."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .person import Colour

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Style:
    """The look of one data set (the paper's domain gap) or of one camera.

    Args:
        backgrounds: Kinds of background: ``street``, ``park``, ``hall`` or ``plain``.
        gains: Factors on blue, green and red.
        light: Range of the factor on the brightness.
        blur: Range of the Gaussian blur's sigma, in pixels.
        noise: Standard deviation of the sensor's noise, in grey levels.
        pitch: Range of how far the camera looks down, in degrees.
        quality: JPEG quality.
    """

    backgrounds: tuple[str, ...]
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    light: tuple[float, float] = (0.9, 1.1)
    blur: tuple[float, float] = (0.0, 0.5)
    noise: float = 3.0
    pitch: tuple[float, float] = (2.0, 10.0)
    quality: int = 92


ATTRIBUTE = Style(('street', 'hall'), (1.05, 1.0, 0.95), (0.75, 1.15), (0.0, 0.8), 5.0, quality=88)
POSE = Style(('park', 'street', 'hall'), (0.95, 1.0, 1.06), (0.9, 1.2), noise=2.0)
PARSING = Style(('plain', 'park', 'hall'), (1.0, 1.02, 1.0), (0.95, 1.1), noise=1.5, pitch=(0, 6))
CAMERAS = (
    Style(('street',), (1.08, 1.0, 0.92), (0.9, 1.0), (0.2, 0.6), 4.0, (4, 8)),
    Style(('street',), (0.9, 1.0, 1.1), (1.05, 1.15), (0.0, 0.4), 3.0, (8, 14)),
    Style(('park',), (0.96, 1.06, 0.96), (1.0, 1.1), (0.4, 0.9), 3.0, (4, 10)),
    Style(('park',), (1.0, 1.0, 1.0), (0.7, 0.8), (0.2, 0.5), 7.0, (2, 6)),
    Style(('hall',), (0.88, 1.0, 1.12), (0.85, 0.95), (0.3, 0.7), 5.0, (10, 18)),
    Style(('hall',), (1.1, 1.0, 0.9), (0.95, 1.05), (0.0, 0.4), 4.0, (6, 12)),
)
"""Market-1501 has six cameras; each has its own light, blur and viewpoint."""


def _colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    base = rng.integers(low, high)
    blue, green, red = (int(np.clip(base + rng.integers(-18, 19), 0, 255)) for _ in range(3))
    return blue, green, red


def background(rng: np.random.Generator, kind: str, width: int, height: int) -> Image:
    """Draw a background.

    Args:
        rng: Source of randomness.
        kind: One of the kinds that :class:`Style` names.
        width: In pixels.
        height: In pixels.

    Returns:
        shape (height, width, 3), blue, green, red, 0 to 255.
    """
    horizon = int(height * rng.uniform(0.55, 0.8))
    image = np.empty((height, width, 3), np.uint8)
    {'street': _street, 'park': _park, 'hall': _hall, 'plain': _plain}[kind](rng, image, horizon)
    blurred = np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.6, height / 250)), np.float32)
    # Uneven light, and a coarse grain on walls and ground.
    left, right = rng.uniform(0.82, 1.18, size=2)
    across = np.linspace(left, right, width, dtype=np.float32)
    grain = rng.standard_normal((height // 4 + 1, width // 4 + 1), np.float32)
    blurred += 3 * np.asarray(cv2.resize(grain, (width, height)), np.float32)[..., None]
    return blurred * across[:, None]


def _rectangle(image: NDArray[np.uint8], x: float, y: float, w: float, h: float,
               colour: Colour) -> None:  # fmt: skip
    cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)


def _plain(rng: np.random.Generator, image: NDArray[np.uint8], horizon: int) -> None:
    """A wall with a picture or a door, and a floor."""
    height, width = image.shape[:2]
    image[:horizon] = _colour(rng, 140, 235)
    image[horizon:] = _colour(rng, 100, 215)
    for _ in range(rng.integers(0, 3)):
        w, h = height * rng.uniform(0.1, 0.3, size=2)
        x, y = rng.uniform(-w, width), rng.uniform(0, 0.6) * horizon
        _rectangle(image, x, y, w, h, _colour(rng, 60, 220))
        _rectangle(image, x + 0.1 * w, y + 0.1 * h, 0.8 * w, 0.8 * h, _colour(rng, 60, 220))
    if rng.random() < 0.4:
        w = height * rng.uniform(0.2, 0.3)
        x, top = rng.uniform(-0.5 * w, width), 0.25 * horizon
        _rectangle(image, x, top, w, horizon - top, _colour(rng, 60, 190))


def _park(rng: np.random.Generator, image: NDArray[np.uint8], horizon: int) -> None:
    """Sky, grass, a path, trees and bushes."""
    height, width = image.shape[:2]
    image[:horizon] = (int(rng.integers(200, 250)), int(rng.integers(180, 225)), 180)
    image[horizon:] = (int(rng.integers(50, 90)), int(rng.integers(110, 170)), 90)
    if rng.random() < 0.6:
        far, near = rng.uniform(0, width), rng.uniform(-0.2, 1.0) * width
        half = width * rng.uniform(0.1, 0.35)
        path = [[far, horizon], [far + 4, horizon], [near + 2 * half, height], [near, height]]
        cv2.fillPoly(image, [np.array(path, np.int32)], _colour(rng, 130, 200))
    for _ in range(rng.integers(3, 8)):
        x, size = int(rng.integers(0, width)), int(height * rng.uniform(0.06, 0.2))
        leaves = int(rng.integers(30, 80)), int(rng.integers(80, 150)), int(rng.integers(40, 110))
        top = horizon - size // 4
        if rng.random() < 0.7:
            _rectangle(image, x - size / 8, horizon - 2 * size, size / 4, 2 * size,
                       _colour(rng, 50, 90))  # fmt: skip
            top = horizon - 2 * size
        for shift in rng.uniform(-0.6, 0.6, size=(3, 2)) * size:
            at = (x + int(shift[0]), top + int(shift[1]))
            cv2.circle(image, at, int(0.7 * size), leaves, -1, cv2.LINE_AA)


def _street(rng: np.random.Generator, image: NDArray[np.uint8], horizon: int) -> None:
    """Houses with windows, a pavement, a lamp post and parked cars."""
    height, width = image.shape[:2]
    image[:horizon] = (int(rng.integers(190, 240)), int(rng.integers(180, 215)), 180)
    image[horizon:] = _colour(rng, 80, 150)
    left = -width * rng.uniform(0, 0.3)
    while left < width:
        span = height * rng.uniform(0.3, 0.8)
        roof = horizon * rng.uniform(0.0, 0.35)
        _rectangle(image, left, roof, span, horizon - roof, _colour(rng, 90, 200))
        step, window = height * rng.uniform(0.1, 0.2), _colour(rng, 40, 110)
        for x in np.arange(left + 0.3 * step, left + span - 0.6 * step, step).tolist():
            for y in np.arange(roof + 0.3 * step, horizon - 0.6 * step, step).tolist():
                _rectangle(image, x, y, 0.5 * step, 0.55 * step, window)
        left += span
    kerb = int(horizon + rng.uniform(0.2, 0.6) * (height - horizon))
    cv2.line(image, (0, kerb), (width, kerb), _colour(rng, 150, 220), max(1, height // 70))
    for _ in range(rng.integers(0, 3)):
        _car(rng, image, rng.uniform(-0.2, 1.0) * width, horizon + 0.03 * height)
    if rng.random() < 0.5:
        post = int(rng.uniform(0, width))
        cv2.line(image, (post, 0), (post, kerb), _colour(rng, 40, 90), max(1, height // 50))


def _car(rng: np.random.Generator, image: NDArray[np.uint8], x: float, ground: float) -> None:
    size, colour = image.shape[0] * rng.uniform(0.1, 0.16), _colour(rng, 30, 230)
    _rectangle(image, x, ground - size, 3.2 * size, 0.75 * size, colour)
    _rectangle(image, x + 0.6 * size, ground - 1.6 * size, 1.8 * size, 0.7 * size, colour)
    _rectangle(image, x + 0.75 * size, ground - 1.5 * size, 1.5 * size, 0.5 * size, (90, 80, 70))
    for wheel in (0.7, 2.5):
        at = (int(x + wheel * size), int(ground - 0.25 * size))
        cv2.circle(image, at, max(1, int(0.3 * size)), (30, 30, 30), -1, cv2.LINE_AA)


def _hall(rng: np.random.Generator, image: NDArray[np.uint8], horizon: int) -> None:
    """A tiled floor, columns, posters and benches."""
    height, width = image.shape[:2]
    image[:horizon], image[horizon:] = _colour(rng, 140, 225), _colour(rng, 90, 190)
    seam, step = _colour(rng, 80, 200), max(6, int(height * rng.uniform(0.12, 0.25)))
    for x in range(int(rng.integers(-step, 1)) - 2 * width, 3 * width, step):
        cv2.line(image, (x, height), ((x + width) // 3, horizon), seam, 1, cv2.LINE_AA)
    for share in (0.12, 0.35, 0.7):
        y = int(horizon + share * (height - horizon))
        cv2.line(image, (0, y), (width, y), seam, 1)
    for left in np.arange(rng.uniform(-1, 0) * step, width, 2.5 * step).tolist():
        _rectangle(image, left, 0, 0.35 * step, horizon, seam)
        if rng.random() < 0.5:
            _rectangle(image, left + 0.7 * step, 0.3 * horizon, 1.2 * step, 0.35 * horizon,
                       _colour(rng, 40, 230))  # fmt: skip
    for _ in range(rng.integers(0, 3)):
        left, size = rng.uniform(-0.1, 1.0) * width, height * rng.uniform(0.05, 0.1)
        _rectangle(image, left, horizon - 0.5 * size, 3 * size, 0.4 * size, _colour(rng, 40, 200))
        for leg in (0.2, 2.6):
            _rectangle(image, left + leg * size, horizon, 0.2 * size, 0.6 * size, (60, 60, 60))


def occlude(
    rng: np.random.Generator, image: Image, codes: NDArray[np.uint8], box: NDArray[np.float64]
) -> None:
    """Put a post, a box or a bush in front of a person, in place.

    Args:
        rng: Source of randomness.
        image: shape (h, w, 3).
        codes: Part codes, shape (h, w); 0 where the occluder is.
        box: The person's x0, y0, x1, y1, in pixels.
    """
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    cover = np.zeros(codes.shape, np.uint8)
    kind = rng.integers(3)
    x = x0 + rng.uniform(0.1, 0.9) * width
    if kind == 0:
        half = width * rng.uniform(0.04, 0.1)
        cv2.rectangle(cover, (int(x - half), 0), (int(x + half), int(y1 + 0.05 * height)), 1, -1)
    elif kind == 1:
        top = y1 - height * rng.uniform(0.15, 0.4)
        half = width * rng.uniform(0.2, 0.5)
        cv2.rectangle(cover, (int(x - half), int(top)), (int(x + half), int(y1 + 4)), 1, -1)
    else:
        for _ in range(6):
            at = x + rng.normal(0, 0.2) * width, y1 - height * rng.uniform(0, 0.25)
            radius = max(2, int(height * rng.uniform(0.04, 0.1)))
            cv2.circle(cover, (int(at[0]), int(at[1])), radius, 1, -1)
    colour = (60, 130, 70) if kind == 2 else _colour(rng, 50, 200)
    hidden = cover > 0
    image[hidden] = np.array(colour, np.float32) * rng.uniform(0.9, 1.1)
    codes[hidden] = 0


def photograph(rng: np.random.Generator, image: Image, style: Style) -> NDArray[np.uint8]:
    """Give an image, shape (h, w, 3), 0 to 255, the light, colours, blur and noise of a style."""
    sigma = rng.uniform(*style.blur)
    if sigma > 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    gains = np.float32(rng.uniform(*style.light)) * np.array(style.gains, np.float32)
    image = image * gains + style.noise * rng.standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
