"""Typing errors in dicts that the toolboxes read key by key, such as ``test_cfg`` of a model."""

import difflib
import inspect
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from torch import nn

from mmgradsplit.utils import ConfigError

READ_BY_KEY = ('test_cfg', 'train_cfg')
ALIKE = 0.8


def check_plain_dicts(model: nn.Module, cfg: Any, key: str = 'model') -> None:
    """Find keys that the code of a network does not know, but that are like one it knows.

    A toolbox asks ``test_cfg`` for the keys that it needs, and never sees a mistyped one. What it
    asks for are names and texts in the code of the network's classes.

    Args:
        model: The network.
        cfg: Its config.
        key: The config's key.

    Raises:
        ConfigError: If there is such a key.
    """
    suspects = list(_keys(cfg, key))
    if not suspects:
        return
    known = {word for kind in _classes(model) for word in _words(kind)}
    for where, name in suspects:
        near = difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)
        if name not in known and near:
            raise ConfigError(f"{where}.{name}: nothing reads this key; did you mean '{near[0]}'?")


def _keys(part: Any, key: str, inside: bool = False) -> Iterator[tuple[str, str]]:
    if isinstance(part, Mapping):
        for name, value in part.items():
            if inside and 'type' not in part:
                yield key, str(name)
            yield from _keys(value, f'{key}.{name}', inside or name in READ_BY_KEY)
    elif isinstance(part, list | tuple):
        for place, value in enumerate(part):
            yield from _keys(value, f'{key}.{place}', inside)


def _classes(model: nn.Module) -> set[type]:
    kinds = {type(module) for module in model.modules()}
    every = {base for kind in kinds for base in kind.__mro__}
    return {
        kind for kind in every if kind.__module__.partition('.')[0] not in ('torch', 'builtins')
    }


def _words(kind: type) -> Iterator[str]:
    for member in vars(kind).values():
        function = inspect.unwrap(getattr(member, '__func__', member))
        if inspect.isfunction(function):
            yield from _words_of(function.__code__)


def _words_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, tuple):
            yield from (each for each in constant if isinstance(each, str))
        elif isinstance(constant, CodeType):
            yield from _words_of(constant)
