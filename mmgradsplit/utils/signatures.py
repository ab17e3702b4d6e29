"""What a class takes, and whether what a config gives it can be right."""

import collections.abc
import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .nearest import did_you_mean


class Parameters(NamedTuple):
    """What a class or a function takes.

    Attributes:
        named: The annotation of each parameter, ``inspect.Parameter.empty`` where there is none.
        defaults: The default of each that has one.
        required: Those without a default.
        catching: The constructors that take further ones as ``**kwargs``.
        open: Whether the last in line takes further ones.
    """

    named: dict[str, Any]
    defaults: dict[str, Any]
    required: tuple[str, ...]
    catching: tuple[Any, ...]
    open: bool

    @property
    def closed(self) -> bool:
        """Whether it takes no others, as far as can be told."""
        return not self.open and not any(map(_reads_kwargs, self.catching))


@cache
def parameters_of(kind: Any) -> Parameters:
    """The parameters of a class or a function.

    Where a constructor hands its ``**kwargs`` on, those of the next class in line are among them.
    """
    makers = [kind]
    if inspect.isclass(kind):
        makers = [vars(base)['__init__'] for base in kind.__mro__ if '__init__' in vars(base)]
    named: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    required: tuple[str, ...] = ()
    catching: tuple[Any, ...] = ()
    for number, maker in enumerate(makers):
        try:
            found = list(inspect.signature(maker).parameters.values())
        except (TypeError, ValueError):  # written in C
            break
        hints = _hints(maker)
        own = found[1:] if inspect.isclass(kind) else found
        plain = [p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        for parameter in plain:
            named.setdefault(parameter.name, hints.get(parameter.name, parameter.annotation))
            if parameter.default is not parameter.empty:
                defaults.setdefault(parameter.name, parameter.default)
        if number == 0:
            required = tuple(p.name for p in plain if p.default is p.empty)
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            return Parameters(named, defaults, required, catching, False)
        catching += (maker,)
    return Parameters(named, defaults, required, catching, True)


def _hints(maker: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(maker)
    except Exception:  # of one that only a type checker can see, the others can still be read
        return {name: _seen(text, maker) for name, text in _annotations(maker).items()}


def _annotations(maker: Any) -> dict[str, Any]:
    return getattr(maker, '__annotations__', {})


def _seen(text: Any, maker: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return eval(text, getattr(maker, '__globals__', {}))
    except Exception:
        return Any


def _reads_kwargs(maker: Any) -> bool:
    """Whether a constructor looks into its ``**kwargs`` rather than hand them on."""
    try:
        source = inspect.getsource(maker)
    except (OSError, TypeError):
        return True
    return re.search(r'(?<!\*)\bkwargs\b(?!\.(setdefault|update)\()', source) is not None


def surplus(kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each key that a class cannot take.

    Args:
        kind: The class.
        given: What it is given, by key.
    """
    known = parameters_of(kind)
    unknown = [name for name in given if name not in known.named]
    if unknown and known.closed:
        for name in unknown:
            hint = did_you_mean(name, known.named) or f'; it has {[*known.named]}'
            yield f"{_title(kind)} has no '{name}'{hint}"


def unfit(kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each value that is of another type than its parameter is annotated with.

    Args:
        kind: The class.
        given: What it is given, by key.
    """
    known = parameters_of(kind).named
    for name, value in given.items():
        if name in known and not fits(value, known[name]):
            yield f'{name} is {value!r}, but {_title(kind)} takes {_words(known[name])}'


def no_switch(kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each value that is neither True nor False, where there is nothing else.

    A toolbox asks it for its truth, and takes a list or a text for one of the two.

    Args:
        kind: The class.
        given: What it is given, by key.
    """
    known = parameters_of(kind)
    for name, value in given.items():
        annotation = known.named.get(name)
        unsaid = annotation is inspect.Parameter.empty and isinstance(
            known.defaults.get(name), bool
        )
        if (annotation is bool or unsaid) and not fits(value, bool):
            yield f'{name} is {value!r}, but {_title(kind)} takes True or False'


def misnamed(kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each key of a dict that looks like a mistyped one of the default dict.

    Args:
        kind: The class.
        given: What it is given, by key.
    """
    for name, default in parameters_of(kind).defaults.items():
        part = given.get(name)
        if not isinstance(default, Mapping) or not isinstance(part, Mapping):
            continue
        for each in part:
            near = difflib.get_close_matches(str(each), [*default], n=1, cutoff=0.8)
            if each not in default and near:
                yield f"{name}.{each}: {_title(kind)} reads no such key; did you mean '{near[0]}'?"


def _title(kind: Any) -> str:
    return getattr(kind, '__name__', str(kind))


def _words(annotation: Any) -> str:
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return ' or '.join(map(_words, parts))
    if typing.get_origin(annotation) is typing.Literal:
        return f'one of {list(parts)}'
    if annotation in (None, type(None)):
        return 'None'
    return getattr(annotation, '__name__', str(annotation)).lower()


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value of a config can be of an annotated type; True where that is hard to tell."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if annotation in (None, type(None)):
        return value is None
    kind = origin or annotation
    if kind is int:
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        return isinstance(value, int | np.integer) or whole
    if kind is float:
        return isinstance(value, int | float | np.number)
    if kind is bool:
        return isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1))
    if kind is str:
        return isinstance(value, str | Path)
    if kind in (list, tuple, set, collections.abc.Sequence):
        if isinstance(value, str) or not isinstance(value, list | tuple | set | range | np.ndarray):
            return False
        element = parts[0] if parts and (kind is not tuple or parts[1:] == (...,)) else Any
        return all(fits(each, element) for each in value)
    if kind in (dict, collections.abc.Mapping):
        return isinstance(value, Mapping)
    return True
