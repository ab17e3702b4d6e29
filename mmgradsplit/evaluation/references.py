"""The single-task values of a config, for delta_m, with the direction of each metric."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmgradsplit.functional import by_task
from mmgradsplit.utils import ConfigError, did_you_mean

from .directions import lower_is_better

KEYS = ('value', 'lower_is_better')


class Reference(NamedTuple):
    """What a metric is compared with.

    Attributes:
        value: Its single-task value.
        lower_is_better: Whether a lower value is better.
    """

    value: float
    lower_is_better: bool


def read_references(given: Any, evaluators: Any, key: str) -> dict[str, Reference]:
    """Read ``references`` of a config.

    Args:
        given: By the metric's full name a number, or ``dict(value=0.6, lower_is_better=True)``;
            None if there are none.
        evaluators: What measures each task, as :func:`~.directions.lower_is_better` takes it.
        key: Config key, for messages.

    Raises:
        ConfigError: If it is no such mapping, does not name a metric of each task, a value is no
            number above 0, or the direction of a metric is not known, or is another one than its
            class says.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{key} must be a dict of 'task/metric' to a number, got {given!r}; for none, leave it "
            f'out, or write {key}=None on the command line'
        )
    by_tasks = isinstance(evaluators, Mapping) and not {'type', 'metrics'} & {*evaluators}
    if given and by_tasks and {*by_task(given)} != {*evaluators}:
        raise ConfigError(
            f'{key} must name one metric of each task {sorted(evaluators)}, or several, as '
            f"'task/metric', got {sorted(given)}"
        )
    return {
        name: _reference(name, of, evaluators, f"{key}['{name}']") for name, of in given.items()
    }


def _reference(name: str, of: Any, evaluators: Any, key: str) -> Reference:
    said, value = None, of
    if isinstance(of, Mapping):
        for each in of:
            if each not in KEYS:
                hint = did_you_mean(each, KEYS)
                raise ConfigError(f"{key} has no key '{each}', only {list(KEYS)}{hint}")
        value, said = of.get('value'), of.get('lower_is_better')
        if said is not None and not isinstance(said, bool):
            raise ConfigError(f'{key}.lower_is_better must be True or False, got {said!r}')
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ConfigError(
            f"{key}: the single-task value of '{name}' is {value!r}; delta_m divides by it, so "
            f'give the measured value, a number above 0'
        )
    return Reference(float(value), direction(name, said, evaluators, key))


def direction(name: str, said: bool | None, evaluators: Any, key: str) -> bool:
    """Whether a lower value of a metric is better, by what is known and what a config says.

    Args:
        name: The metric's full name.
        said: What the config says, or None.
        evaluators: As for :func:`~.directions.lower_is_better`.
        key: Where the config says it, for messages.

    Raises:
        ConfigError: If nobody says it, or the two contradict each other.
    """
    known = lower_is_better(name, evaluators)
    if known is None and said is None:
        raise ConfigError(
            f"{key}: whether a lower or a higher value of '{name}' is better is not known; say so, "
            f'as dict(value=..., lower_is_better=False) in val_cfg.references, or by an attribute '
            f'lower_is_better of the metric class (docs/extend.md)'
        )
    if said is None or known is None:
        return bool(said if known is None else known)
    if said != known:
        words = ('lower', 'higher') if known else ('higher', 'lower')
        raise ConfigError(
            f"{key}: a {words[0]} value of '{name}' is better, but the config says a {words[1]} one"
        )
    return known
