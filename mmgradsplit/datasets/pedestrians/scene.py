"""What surrounds a person: backgrounds, light, blur, noise and occluders, by style.

May import NumPy and OpenCV.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

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


def _colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
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
    image = np.empty((height, width, 3), np.uint8)
    horizon = int(height * rng.uniform(0.55, 0.8))
    if kind == 'plain':
        image[:] = _colour(rng, 150, 240)
        image[horizon:] = _colour(rng, 130, 220)
    elif kind == 'park':
        image[:horizon] = (int(rng.integers(200, 250)), int(rng.integers(180, 225)), 180)
        image[horizon:] = (int(rng.integers(50, 90)), int(rng.integers(120, 170)), 90)
        for _ in range(rng.integers(3, 8)):
            x, size = int(rng.integers(0, width)), int(height * rng.uniform(0.06, 0.2))
            trunk = _colour(rng, 50, 90)
            cv2.rectangle(image, (x - size // 8, horizon - 2 * size), (x + size // 8, horizon), trunk, -1)
            leaves = (int(rng.integers(30, 80)), int(rng.integers(90, 150)), int(rng.integers(40, 100)))
            cv2.circle(image, (x, horizon - 2 * size), size, leaves, -1, cv2.LINE_AA)
    else:
        image[:horizon] = _colour(rng, 110, 200) if kind == 'street' else _colour(rng, 150, 225)
        image[horizon:] = _colour(rng, 80, 150)
        step = max(6, int(height * rng.uniform(0.12, 0.25)))
        window = _colour(rng, 40, 110) if kind == 'street' else _colour(rng, 120, 200)
        for x in range(int(rng.integers(-step, 1)), width, step):
            if kind == 'street':
                for y in range(step // 4, horizon - step // 2, step):
                    box = (x + step // 5, y), (x + 3 * step // 5, y + step // 2)
                    cv2.rectangle(image, *box, window, -1)
            else:
                cv2.line(image, (x, 0), (x, horizon), window, max(1, step // 12))
                cv2.line(image, (x, height), (width // 2, horizon), window, 1)
        for _ in range(rng.integers(0, 4)):
            x, y = int(rng.integers(0, width)), horizon + int(rng.integers(0, height - horizon))
            size = int(height * rng.uniform(0.04, 0.12))
            cv2.rectangle(image, (x, y - size), (x + size, y), _colour(rng, 30, 220), -1)
    clutter = cv2.GaussianBlur(image, (0, 0), max(0.6, height / 250))
    slope = np.linspace(*rng.uniform(0.85, 1.15, size=2), width, dtype=np.float32)
    return clutter.astype(np.float32) * slope[None, :, None]


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
    """Light, colour cast, blur and noise of a style.

    Args:
        rng: Source of randomness.
        image: shape (h, w, 3), 0 to 255.
        style: The look.

    Returns:
        The picture, same shape.
    """
    sigma = rng.uniform(*style.blur)
    if sigma > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image = image * np.array(style.gains, np.float32) * np.float32(rng.uniform(*style.light))
    image = image + rng.normal(0, style.noise, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
