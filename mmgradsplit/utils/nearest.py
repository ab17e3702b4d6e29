"""The known name that a mistyped one comes nearest to."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint to end a message with, or nothing where no known name is near.

    Capitals, a scope before the last dot, and an ending such as ``Weighting`` that all names of a
    kind have, do not count.

    Args:
        name: What was asked for.
        known: The names that there are.

    Returns:
        ``"; did you mean 'pcgrad'?"``, or ``''``.
    """
    short = {_short(each): each for each in reversed(list(known))}
    near = difflib.get_close_matches(_short(name), short, n=1, cutoff=0.5)
    return f"; did you mean '{short[near[0]]}'?" if near else ''


def _short(name: str) -> str:
    return name.rpartition('.')[2].lower().removesuffix('weighting').replace('_', '')
