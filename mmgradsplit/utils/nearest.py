"""Names that are asked for, out of those that there are."""

import difflib
from collections.abc import Iterable, Sequence


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


def chosen_tasks(given: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The tasks that are asked for, in the order of those that there are.

    Args:
        given: Their names; None for all.
        known: The names that there are.

    Raises:
        KeyError: If there is no such task.
        ValueError: If none is named.
    """
    if given is None:
        return list(known)
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise KeyError(f"no task '{name}' in this network, which has {list(known)}{hint}")
    if not names:
        raise ValueError(f'tasks is empty: name some of {list(known)}')
    return [name for name in known if name in names]


def _short(name: str) -> str:
    return name.rpartition('.')[2].lower().removesuffix('weighting').replace('_', '')
