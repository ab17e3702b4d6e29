"""Who is drawn: the appearance that stays with a person from picture to picture."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255 (OpenCV's order)."""

T = TypeVar('T')

CLOTH: tuple[Colour, ...] = (
    (38, 34, 34), (238, 238, 238), (140, 140, 140), (40, 40, 205), (200, 90, 30), (60, 150, 50),
    (40, 210, 240), (150, 50, 130), (180, 120, 240), (20, 130, 250), (45, 75, 120), (110, 45, 25),
    (160, 205, 225), (150, 150, 20), (50, 20, 120), (235, 195, 120), (90, 200, 140),
)  # fmt: skip
SKIN: tuple[Colour, ...] = (
    (190, 210, 245), (160, 190, 235), (130, 165, 220), (95, 135, 195), (65, 95, 150), (45, 65, 110),
)  # fmt: skip
HAIR: tuple[Colour, ...] = (
    (25, 22, 22), (30, 40, 60), (35, 60, 100), (80, 160, 215), (35, 70, 165),
)  # fmt: skip
GREY_HAIR: tuple[Colour, ...] = ((190, 190, 190), (228, 228, 228), (165, 160, 160))


@dataclass(frozen=True)
class Garment:
    """Cloth of one garment.

    Args:
        colour: Main colour.
        second: Colour of the pattern, far from the main colour.
        pattern: ``plain``, ``stripes``, ``plaid``, ``splice`` (two blocks), ``side`` (a stripe
            along the leg) or ``dots``.
    """

    colour: Colour
    second: Colour
    pattern: str = 'plain'


@dataclass(frozen=True)
class Person:
    """An identity: everything about a person that a change of camera or pose does not change.

    Args:
        age: ``child``, ``adult`` or ``old``.
        female: Whether a woman or girl is drawn.
        build: Factor on the widths of the body, about 1.
        skin: Colour of the skin.
        hair: Colour of the hair.
        hair_style: ``short``, ``bald``, ``bob``, ``long``, ``ponytail`` or ``bun``.
        beard: Whether a beard is drawn.
        hat: ``none``, ``cap``, ``beanie`` or ``brim``.
        hat_colour: Colour of the hat.
        glasses: Whether dark glasses are worn.
        upper_kind: ``shirt``, ``jacket``, ``coat`` (long), ``dress`` or ``jumpsuit``.
        upper: Cloth of the upper garment; of the whole for dress and jumpsuit.
        long_sleeves: Long or short sleeves.
        logo: Whether the chest carries a logo.
        lower_kind: ``trousers``, ``shorts``, ``skirt`` or ``none`` (dress, jumpsuit).
        lower: Cloth of the lower garment.
        shoes: Colour of the shoes.
        boots: Shoes reach up the shin.
        socks: Colour of long socks, or None.
        scarf: Colour of a scarf, or None.
        gloves: Colour of gloves, or None.
        carries: ``none``, ``handbag``, ``shoulder_bag``, ``backpack`` or ``object``.
        bag: Colour of what is carried.
        bag_side: 1 for the left side of the body, -1 for the right.
    """

    age: str
    female: bool
    build: float
    skin: Colour
    hair: Colour
    hair_style: str
    beard: bool
    hat: str
    hat_colour: Colour
    glasses: bool
    upper_kind: str
    upper: Garment
    long_sleeves: bool
    logo: bool
    lower_kind: str
    lower: Garment
    shoes: Colour
    boots: bool
    socks: Colour | None
    scarf: Colour | None
    gloves: Colour | None
    carries: str
    bag: Colour
    bag_side: int


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made darker (``factor`` below 1) or lighter."""
    blue, green, red = (int(min(255, factor * c)) for c in colour)
    return blue, green, red


def pick(rng: np.random.Generator, weights: dict[T, float]) -> T:
    """Draw one key of ``weights`` with a probability proportional to its weight."""
    cumulative = np.cumsum(list(weights.values()))
    place = np.searchsorted(cumulative, rng.random() * cumulative[-1], side='right')
    return list(weights)[int(place)]


def _colour(rng: np.random.Generator, palette: tuple[Colour, ...], jitter: int = 18) -> Colour:
    base = palette[int(rng.integers(len(palette)))]
    blue, green, red = (int(np.clip(c + rng.integers(-jitter, jitter + 1), 0, 255)) for c in base)
    return blue, green, red


def _away_from(rng: np.random.Generator, *others: Colour, apart: int = 170) -> Colour:
    """A cloth colour that the eye tells from ``others`` (L1 distance of at least ``apart``)."""
    while True:
        colour = _colour(rng, CLOTH)
        if all(sum(abs(a - b) for a, b in zip(colour, o, strict=True)) >= apart for o in others):
            return colour


def _garment(rng: np.random.Generator, colour: Colour, patterns: dict[str, float]) -> Garment:
    return Garment(colour, _away_from(rng, colour, apart=240), pick(rng, patterns))


def sample_person(rng: np.random.Generator) -> Person:
    """Draw an identity."""
    age = pick(rng, {'child': 0.22, 'adult': 0.54, 'old': 0.24})
    female = bool(rng.random() < 0.5)
    if female:
        hair_style = pick(rng, {'long': 0.45, 'ponytail': 0.25, 'bun': 0.12, 'bob': 0.18})
        upper_kind = pick(rng, {'shirt': 0.46, 'jacket': 0.13, 'coat': 0.15, 'dress': 0.2,
                                'jumpsuit': 0.06})  # fmt: skip
        lower_kind = pick(rng, {'trousers': 0.42, 'skirt': 0.33, 'shorts': 0.25})
    else:
        hair_style = pick(rng, {'short': 0.8, 'bald': 0.35 if age == 'old' else 0.1})
        upper_kind = pick(rng, {'shirt': 0.6, 'jacket': 0.17, 'coat': 0.16, 'jumpsuit': 0.07})
        lower_kind = pick(rng, {'trousers': 0.62, 'shorts': 0.38})
    if upper_kind in ('dress', 'jumpsuit'):
        lower_kind = 'none'
    elif upper_kind == 'coat' and lower_kind == 'shorts':
        lower_kind = 'trousers'
    patterns = {'plain': 0.42, 'stripes': 0.2, 'plaid': 0.19, 'splice': 0.19}
    upper = _garment(
        rng, _colour(rng, CLOTH), {'plain': 1.0} if upper_kind == 'jacket' else patterns
    )
    lower = _garment(rng, _away_from(rng, upper.colour, apart=90),
                     {'plain': 0.56, 'side': 0.22, 'dots': 0.22})  # fmt: skip
    wears_logo = upper_kind in ('shirt', 'dress', 'jumpsuit') and upper.pattern == 'plain'
    bare_legs = lower_kind in ('shorts', 'skirt') or upper_kind == 'dress'
    skin = SKIN[int(rng.integers(len(SKIN)))]
    hair = _colour(rng, GREY_HAIR if age == 'old' else HAIR, 10)
    return Person(
        age=age,
        female=female,
        build=float(rng.uniform(0.88, 1.18)),
        skin=skin,
        hair=hair,
        hair_style=hair_style,
        beard=bool(not female and age != 'child' and rng.random() < 0.25),
        hat=pick(rng, {'none': 0.72, 'cap': 0.11, 'beanie': 0.09, 'brim': 0.08}),
        hat_colour=_away_from(rng, hair, skin),
        glasses=bool(rng.random() < 0.33),
        upper_kind=upper_kind,
        upper=upper,
        long_sleeves=upper_kind in ('coat', 'jacket') or bool(rng.random() < 0.42),
        logo=wears_logo and bool(rng.random() < 0.65),
        lower_kind=lower_kind,
        lower=lower,
        shoes=_colour(rng, CLOTH),
        boots=bool(rng.random() < 0.25),
        socks=_colour(rng, CLOTH) if bare_legs and rng.random() < 0.45 else None,
        scarf=_away_from(rng, upper.colour) if rng.random() < 0.12 else None,
        gloves=_away_from(rng, upper.colour, skin) if rng.random() < 0.12 else None,
        carries=pick(
            rng,
            {'none': 0.26, 'handbag': 0.18, 'shoulder_bag': 0.2, 'backpack': 0.2, 'object': 0.16},
        ),
        bag=_away_from(rng, upper.colour),
        bag_side=1 if rng.random() < 0.5 else -1,
    )
