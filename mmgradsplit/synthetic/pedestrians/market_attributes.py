"""The attributes of drawn people, as Market-1501's annotation names them."""

from collections.abc import Mapping, Sequence

import numpy as np

from .person import Colour, Garment, Person
from .writing import cells

NO, YES = 1, 2
COLOURS: dict[str, Colour] = {
    'black': (38, 34, 34), 'white': (238, 238, 238), 'red': (40, 40, 205),
    'purple': (150, 50, 130), 'yellow': (40, 210, 240), 'gray': (140, 140, 140),
    'blue': (200, 90, 30), 'green': (60, 150, 50), 'pink': (180, 120, 240), 'brown': (45, 75, 120),
}  # fmt: skip
UPPER = ('black', 'white', 'red', 'purple', 'yellow', 'gray', 'blue', 'green')
LOWER = ('black', 'white', 'pink', 'purple', 'yellow', 'gray', 'blue', 'green', 'brown')
_BAGS, _BODY = ('backpack', 'bag', 'handbag'), ('clothes', 'down', 'up', 'hair', 'hat', 'gender')
# The published file has the same fields in another order for training and test.
ORDERS: dict[str, tuple[str, ...]] = {
    'test': ('age', *_BAGS, *_BODY, *(f'up{c}' for c in UPPER), *(f'down{c}' for c in LOWER)),
    'train': (
        'age', *_BAGS, *(f'down{c}' for c in sorted(LOWER)),
        *(f'up{c}' for c in ('black', 'blue', 'green', 'gray', 'purple', 'red', 'white', 'yellow')),
        *_BODY,
    ),
}  # fmt: skip


def market_attributes(person: Person) -> dict[str, int]:
    """The 27 attributes of a person, by the field of Market-1501's file.

    Age is from 1 (young) to 4 (old), without teenagers; all others are 1 or 2.
    """
    whole = person.lower_kind == 'none'
    skirt = person.lower_kind == 'skirt' or person.upper_kind == 'dress'
    upper = _nearest(person.upper, UPPER)
    lower = _nearest(person.upper if whole else person.lower, LOWER)
    flags = dict(
        backpack=person.carries == 'backpack',
        bag=person.carries == 'shoulder_bag',
        handbag=person.carries == 'handbag',
        clothes=not skirt,  # 1 dress, 2 pants
        down=skirt or person.lower_kind == 'shorts',  # 1 long, 2 short
        up=not person.long_sleeves,  # 1 long, 2 short
        hair=person.hair_style in ('long', 'ponytail'),
        hat=person.hat != 'none',
        gender=person.female,
        **{f'up{colour}': colour == upper for colour in UPPER},
        **{f'down{colour}': colour == lower for colour in LOWER},
    )
    age = {'child': 1, 'adult': 3, 'old': 4}[person.age]
    return dict({name: YES if flag else NO for name, flag in flags.items()}, age=age)


def annotation(train: Mapping[int, Person], test: Mapping[int, Person]) -> dict[str, dict]:
    """The content of ``market_attribute.mat``.

    Args:
        train: People by identity.
        test: People by identity.

    Returns:
        The variable ``market_attribute``, a struct of the structs ``test`` and ``train``, each with
        27 fields of shape [1 x people], and ``image_index``, cells of the identities' names.
    """
    splits = {'test': test, 'train': train}
    return {'market_attribute': {name: _split(name, people) for name, people in splits.items()}}


def _split(name: str, people: Mapping[int, Person]) -> dict[str, np.ndarray]:
    rows = [market_attributes(person) for person in people.values()]
    values = {field: np.array([[row[field] for row in rows]], float) for field in ORDERS[name]}
    return dict(values, image_index=cells(f'{identity:04d}' for identity in people).T)


def _nearest(garment: Garment, names: Sequence[str]) -> str:
    """The name of the colour that is nearest to a garment's main colour."""
    colours = np.array([COLOURS[name] for name in names])
    distances = np.abs(colours - garment.colour).sum(1)
    return names[int(distances.argmin())]
