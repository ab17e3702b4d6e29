"""The keys of optimizer wrappers and schedules."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from mmgradsplit.registry import OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS
from mmgradsplit.utils import did_you_mean
from mmgradsplit.utils.config_errors import unknown_words
from mmgradsplit.utils.signatures import fits, parameters_of

from .methods import is_ours, wrapper_class
from .typed_keys import typed_problems

PARAMWISE = (
    'bias_decay_mult', 'bias_lr_mult', 'bypass_duplicate', 'custom_keys', 'dcn_offset_lr_mult',
    'dwconv_decay_mult', 'flat_decay_mult', 'norm_decay_mult',
)  # fmt: skip
MULTIPLIERS = ('lr_mult', 'decay_mult')
ALIKE = 0.86  # as of names at the top
CLIPS: dict[Any, tuple[str, ...]] = {
    'norm': ('error_if_nonfinite', 'foreach', 'max_norm', 'norm_type'),
    'value': ('clip_value', 'foreach'),
}


def schedules_problems(key: str, part: Any) -> Iterator[str]:
    """What is wrong with a schedule, or with several."""
    if isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from schedules_problems(f'{key}.{place}', each)
    elif isinstance(part, Mapping) and 'type' not in part:
        for name, each in part.items():
            if not isinstance(each, Mapping | list | tuple):
                yield f'{key}.type is missing; the keys are {[*part]}'
                return
            yield from schedules_problems(f'{key}.{name}', each)
    elif part is not None:
        yield from typed_problems(key, part, PARAM_SCHEDULERS, ('convert_to_iter_based',))


def wrapper_problems(part: Any) -> Iterator[str]:
    """What is wrong with the optimizer wrapper, its optimizer, clipping and options."""
    key = 'optim_wrapper'
    if not isinstance(part, Mapping):
        yield f'{key} must be a dict, got {part!r}'
        return
    if 'optimizer' not in part and 'type' not in part and 'constructor' not in part:
        return  # wrappers by task, which were built by the config itself
    if not isinstance(part.get('type'), str | None) and not callable(part['type']):
        yield f'{key}.type must be the name of an optimizer wrapper, got {part["type"]!r}'
        return
    kind = wrapper_class(part)
    if kind is None:
        yield f'{key}.type: {unknown_words(part["type"])}'
        return
    if part.get('optimizer') is None:
        yield f"{key}.optimizer is missing, such as dict(type='Adam', lr=0.001)"
        return
    yield from typed_problems(f'{key}.optimizer', part['optimizer'], OPTIMIZERS)
    known = [
        'type',
        '_scope_',
        'optimizer',
        'constructor',
        'paramwise_cfg',
        *parameters_of(kind).named,
    ]
    base = part.get('base')
    if is_ours(part):
        known += ['weighting', 'base', *kind.config_keys]
        if isinstance(base, Mapping) and 'type' in base:
            yield from typed_problems(f'{key}.base', base, OPTIM_WRAPPERS)
        elif not isinstance(base, Mapping | None):
            yield f'{key}.base must be a dict, got {base!r}'
        named = (base or {}).get('type', 'OptimWrapper') if isinstance(base, Mapping | None) else ''
        known += parameters_of(OPTIM_WRAPPERS.get(named) or wrapper_class({})).named
    if parameters_of(kind).closed or is_ours(part):
        for name in part:
            if name not in known:
                hint = did_you_mean(name, known)
                yield f'{key}.{name}: {kind.__name__} has no such key{hint}'
    for where, of in ((key, part), (f'{key}.base', base)):
        if isinstance(of, Mapping) and of.get('clip_grad') is not None:
            yield from _clip(f'{where}.clip_grad', of['clip_grad'])
    if part.get('paramwise_cfg') is not None:
        usual = part.get('constructor') in (None, 'DefaultOptimWrapperConstructor')
        yield from _paramwise(f'{key}.paramwise_cfg', part['paramwise_cfg'], usual or is_ours(part))


def _clip(key: str, part: Any) -> Iterator[str]:
    known = CLIPS.get(part.get('type', 'norm')) if isinstance(part, Mapping) else ()
    if known is None:
        yield f"{key}.type must be 'norm' or 'value', got {part['type']!r}"
    elif not known or not {*part} - {'type'}:
        yield f'{key} must be a dict such as dict(max_norm=35), got {part!r}'
    else:
        for name in part:
            if name not in ('type', *known):
                yield f'{key}.{name}: no such key{did_you_mean(name, known)}; it takes {[*known]}'


def _paramwise(key: str, part: Any, closed: bool) -> Iterator[str]:
    if not isinstance(part, Mapping):
        yield f'{key} must be a dict, got {part!r}'
        return
    for name in part:
        if closed and name not in PARAMWISE:
            yield f'{key}.{name}: no such key{did_you_mean(name, PARAMWISE)}; it takes {PARAMWISE}'
        elif str(name).endswith('_mult') and not fits(part[name], float):
            yield f'{key}.{name} must be a number, got {part[name]!r}'
    custom = part.get('custom_keys')
    for name, options in custom.items() if isinstance(custom, Mapping) else ():
        for option in options if isinstance(options, Mapping) else ():
            near = difflib.get_close_matches(option, MULTIPLIERS, n=1, cutoff=ALIKE)
            # Other options are the optimizer's own.
            if option not in MULTIPLIERS and near:
                yield f"{key}.custom_keys.{name}.{option}: did you mean '{near[0]}'?"
