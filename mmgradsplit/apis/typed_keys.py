"""Compares a dict of a config that has a ``type`` with what the class takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry

from mmgradsplit.registry import HOOKS, MODELS
from mmgradsplit.utils import did_you_mean
from mmgradsplit.utils.config_errors import unknown_words
from mmgradsplit.utils.signatures import misnamed, no_switch, parameters_of, surplus, unfit

# Whose annotations can be relied on; a toolbox may annotate one type and take another.
ANNOTATED = ('torch', 'mmengine', 'mmgradsplit')


def typed_problems(
    key: str,
    part: Any,
    registry: Registry,
    given_besides: Sequence[str] = (),
    scope: str | None = None,
) -> Iterator[str]:
    """What is wrong with a dict that has a ``type``.

    Args:
        key: Its config key.
        part: The dict.
        registry: Where its class is registered.
        given_besides: Keys that mmengine takes out before it builds the class.
        scope: In which the type is looked up, where the dict does not say it.
    """
    if not isinstance(part, Mapping):
        # An object that was built already is mmengine's way too.
        if part is None or isinstance(part, str | int | float | list | tuple):
            yield f"{key} must be a dict with 'type', got {part!r}"
        return
    if 'type' not in part:
        yield f'{key}.type is missing; the keys are {[*part]}'
        return
    kind: Any = part['type']
    if not isinstance(part.get('_scope_'), str | None):
        yield f'{key}._scope_ must be the name of a toolbox, got {part["_scope_"]!r}'
        return
    if isinstance(kind, str):
        kind = found_class(registry, kind, part.get('_scope_', scope))
        if kind is None:
            yield f'{key}.type: {unknown_words(part["type"])}'
            return
    besides = ('type', '_scope_', *given_besides)
    if registry is HOOKS:
        besides += ('priority',)
    yield from compared_problems(key, kind, {k: v for k, v in part.items() if k not in besides})


def compared_problems(key: str, kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """What of the arguments a class cannot take.

    Args:
        key: Config key of the dict.
        kind: The class.
        given: The arguments.
    """
    if not callable(kind):
        yield f'{key}.type is {kind!r}, not the name of a class'
        return
    if isinstance(kind, type) and issubclass(kind, CheckpointHook):
        known = {*parameters_of(kind).named, 'type'}
        # It hands what it does not know to save_checkpoint, after the first epoch.
        for name in given:
            if name not in known:
                yield f'{key}.{name}: {kind.__name__} has no such key{did_you_mean(name, known)}'
    for text in surplus(kind, given):
        yield f'{key}: {text}'
    yield from (f'{key}.{text}' for text in (*no_switch(kind, given), *misnamed(kind, given)))
    if kind.__module__.partition('.')[0] in ANNOTATED:
        for text in unfit(kind, given):
            yield f'{key}.{text}'


def switches_problems(key: str, part: Any, scope: str | None) -> Iterator[str]:
    """Parts of the network that would take a list or a text for True or False."""
    if isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from switches_problems(f'{key}.{place}', each, scope)
    if not isinstance(part, Mapping):
        return
    kind = part.get('type')
    if isinstance(kind, str):
        scope = part.get('_scope_') or kind.rpartition('.')[0] or scope
        found = found_class(MODELS, kind, scope)
        if found is not None:
            yield from (f'{key}.{text}' for text in no_switch(found, part))
    for name, each in part.items():
        if name in ('train_cfg', 'test_cfg') and isinstance(each, str | int | float):
            yield f'{key}.{name} must be a dict, got {each!r}'
        yield from switches_problems(f'{key}.{name}', each, scope)


def found_class(registry: Registry, name: str, scope: str | None) -> Any:
    """The class of a name, as mmengine finds it in this scope; None where it does not."""
    with registry.switch_scope_and_registry(scope) as own:
        try:
            return own.get(name)
        except (AssertionError, ImportError, KeyError, TypeError, ValueError):  # of no toolbox
            return None
