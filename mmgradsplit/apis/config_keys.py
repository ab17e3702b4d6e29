"""Looks at the keys of a config before anything is built, and before a data folder is asked for.

What is built late, or only after data sets have been read, is compared with what its class takes:
dataloaders with their data sets, pipelines and samplers, evaluators, loops, optimizers, schedules
and hooks. The network is built before any data set, and names its keys itself.
"""

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    TestLoop,
    ValLoop,
    set_random_seed,
)
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmgradsplit.engine.loops.dataloaders import check_tasks
from mmgradsplit.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
)
from mmgradsplit.utils import ConfigError, did_you_mean
from mmgradsplit.utils.config_errors import unknown_words
from mmgradsplit.utils.signatures import (
    fits,
    misnamed,
    no_switch,
    parameters_of,
    surplus,
    unfit,
)

from .methods import is_ours, wrapper_class

TOP = (
    {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
) | {
    'accuracies', 'activation_checkpointing', 'compile', 'custom_imports',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'method', 'model_wrapper_cfg', 'references',
    'relations', 'runner_type', 'sync_bn', 'tasks',
}  # fmt: skip
# How alike a name has to be to a known one to be a mistake: configs have names of their own.
ALIKE = 0.86
# Whose annotations can be relied on; a toolbox may annotate one type and take another.
ANNOTATED = ('torch', 'mmengine', 'mmgradsplit')
# What mmengine takes out of a dict before it builds the class, or gives it besides.
LOADER = (
    'batch_sampler', 'collate_fn', 'dataset', 'disable_subprocess_warning', 'num_batch_per_epoch',
    'sampler', 'worker_init_fn',
)  # fmt: skip
PARAMWISE = (
    'bias_decay_mult', 'bias_lr_mult', 'bypass_duplicate', 'custom_keys', 'dcn_offset_lr_mult',
    'dwconv_decay_mult', 'flat_decay_mult', 'norm_decay_mult',
)  # fmt: skip
MULTIPLIERS = ('lr_mult', 'decay_mult')
CLIPS: dict[Any, tuple[str, ...]] = {
    'norm': ('error_if_nonfinite', 'foreach', 'max_norm', 'norm_type'),
    'value': ('clip_value', 'foreach'),
}


def check_top_level(cfg: Config) -> None:
    """Find keys at the top that look like a mistyped one, which mmengine would not read.

    Raises:
        ConfigError: If there is one.
    """
    for name in cfg:
        near = difflib.get_close_matches(str(name), TOP, n=1, cutoff=ALIKE)
        if name not in TOP and near:
            raise ConfigError(
                f"{name}: no such key is read; did you mean '{near[0]}'? A variable of your own "
                f'needs a name that is less like it, or one that begins with an underscore'
            )


def check_keys(cfg: Config, stages: Sequence[str]) -> None:
    """Compare the keys of a config with what the classes take that they are for.

    Args:
        cfg: The config.
        stages: Which of ``'train'``, ``'val'`` and ``'test'`` are to run.

    Raises:
        ConfigError: If a key is unknown, or a value of a type that cannot be.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmgradsplit')):
        for problem in _problems(cfg, stages):
            raise ConfigError(problem)


def _problems(cfg: Config, stages: Sequence[str]) -> Iterator[str]:
    tasks = list((cfg.get('model') or {}).get('tasks') or ())
    yield from _switches('model', cfg.get('model'), None)
    for stage in stages:
        yield from _loop(f'{stage}_cfg', cfg.get(f'{stage}_cfg'), stage, bool(tasks))
        parts = [f'{stage}_{part}' for part in ('cfg', 'dataloader', 'evaluator')]
        parts = [*parts[:2], 'optim_wrapper'] if stage == 'train' else parts
        missing = [part for part in parts if cfg.get(part) is None]
        if missing:
            yield f'{missing[0]} is missing; {", ".join(parts)} belong together'
    if 'train' in stages:
        yield from _wrapper(cfg.get('optim_wrapper'))
        yield from _schedules('param_scheduler', cfg.get('param_scheduler'))
    hooks = cfg.get('default_hooks')
    if not isinstance(hooks, Mapping | None):
        yield f'default_hooks must be a dict of hooks by name, got {hooks!r}'
    for name, hook in (hooks or {}).items():
        if hook is not None:
            yield from _typed(f'default_hooks.{name}', hook, HOOKS)
    own = cfg.get('custom_hooks')
    if not isinstance(own, list | tuple | None):
        yield f'custom_hooks must be a list of hooks, got {own!r}'
    for place, hook in enumerate(own or ()):
        yield from _typed(f'custom_hooks.{place}', hook, HOOKS)
    yield from _environment(cfg)
    for stage in stages:
        key = f'{stage}_dataloader'
        for where, loader in _by_task(key, cfg.get(key), tasks, 'dataset'):
            yield from _loader(where, loader)
        if stage != 'train':
            key = f'{stage}_evaluator'
            for where, evaluator in _by_task(key, cfg.get(key), tasks, 'type'):
                yield from _evaluator(where, evaluator)


def _by_task(key: str, part: Any, tasks: Sequence[str], sign: str) -> Iterator[tuple[str, Any]]:
    """The parts of the tasks, or the only one, with their keys."""
    # Of a model without tasks, the loop says it.
    of_tasks = tasks or (
        isinstance(part, Mapping) and all(isinstance(of, Mapping) for of in part.values())
    )
    if isinstance(part, Mapping) and of_tasks and sign not in part and 'metrics' not in part:
        if tasks:
            check_tasks(part, list(tasks), key)
        yield from ((f'{key}.{task}', each) for task, each in part.items())
    elif part is not None:
        yield key, part


def _typed(
    key: str,
    part: Any,
    registry: Registry,
    given_besides: Sequence[str] = (),
    scope: str | None = None,
) -> Iterator[str]:
    """What is wrong with a dict that has a ``type``."""
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
        kind = _found(registry, kind, part.get('_scope_', scope))
        if kind is None:
            yield f'{key}.type: {unknown_words(part["type"])}'
            return
    besides = ('type', '_scope_', *given_besides)
    if registry is HOOKS:
        besides += ('priority',)
    yield from _compared(key, kind, {k: v for k, v in part.items() if k not in besides})


def _compared(key: str, kind: Any, given: Mapping[str, Any]) -> Iterator[str]:
    """What of the arguments a class cannot take."""
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


def _switches(key: str, part: Any, scope: str | None) -> Iterator[str]:
    """Parts of the network that would take a list or a text for True or False."""
    if isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from _switches(f'{key}.{place}', each, scope)
    if not isinstance(part, Mapping):
        return
    kind = part.get('type')
    if isinstance(kind, str):
        scope = part.get('_scope_') or kind.rpartition('.')[0] or scope
        found = _found(MODELS, kind, scope)
        if found is not None:
            yield from (f'{key}.{text}' for text in no_switch(found, part))
    for name, each in part.items():
        yield from _switches(f'{key}.{name}', each, scope)


def _found(registry: Registry, name: str, scope: str | None) -> Any:
    """The class of a name, as mmengine finds it in this scope; None where it does not."""
    with registry.switch_scope_and_registry(scope) as own:
        try:
            return own.get(name)
        except (AssertionError, ImportError, KeyError, TypeError, ValueError):  # of no toolbox
            return None


def _loop(key: str, part: Any, stage: str, by_task: bool) -> Iterator[str]:
    if part is None:
        return
    if not isinstance(part, Mapping):
        yield f'{key} must be a dict, got {part!r}'
        return
    # What is wrong with references, read_references says better.
    given = {k: v for k, v in part.items() if k not in ('type', 'by_epoch', '_scope_')}
    if not isinstance(given.get('references'), Mapping | None):
        given['references'] = None
    kind: Any = part.get('type')
    if kind is None:
        epochs = part.get('by_epoch', True)
        train = EpochBasedTrainLoop if epochs else IterBasedTrainLoop
        kind = dict(train=train, val=ValLoop, test=TestLoop)[stage]
    elif isinstance(kind, str):
        kind = _found(LOOPS, kind, part.get('_scope_'))
        if kind is None:
            yield f'{key}.type: {unknown_words(part["type"])}'
            return
    if 'type' not in part and by_task:
        names = 'RoundRobinTrainLoop' if stage == 'train' else f'MultiTask{stage.title()}Loop'
        yield f"{key}.type is missing; for a multi-task network it is '{names}'"
    yield from _compared(key, kind, given)
    missing = [
        name
        for name in parameters_of(kind).required
        if name not in given and name not in ('runner', 'dataloader', 'evaluator')
    ]
    if missing:
        yield f'{key}.{missing[0]} is missing; {kind.__name__} needs it'


def _loader(key: str, part: Any) -> Iterator[str]:
    if not isinstance(part, Mapping):
        if part is None or isinstance(part, str | int | float | list | tuple):
            yield f'{key} must be a dict, got {part!r}'
        return
    own = {k: v for k, v in part.items() if k not in LOADER}
    known = [*parameters_of(DataLoader).named, *LOADER]
    for name in own:
        if name not in known:
            yield f'{key}.{name}: a dataloader has no such key{did_you_mean(name, known)}'
    for text in unfit(DataLoader, own):
        yield f'{key}.{text}'
    if 'batch_size' in part and not _is_number(part['batch_size']):
        yield f'{key}.batch_size must be a whole number of at least 1, got {part["batch_size"]!r}'
    for name in ('dataset', 'sampler'):
        if part.get(name) is None and not (name == 'sampler' and part.get('batch_sampler')):
            yield f'{key}.{name} is missing'
    if part.get('sampler') is not None:
        yield from _typed(f'{key}.sampler', part['sampler'], DATA_SAMPLERS)
    if part.get('batch_sampler') is not None:
        yield from _typed(f'{key}.batch_sampler', part['batch_sampler'], DATA_SAMPLERS)
    if part.get('dataset') is not None:
        yield from _dataset(f'{key}.dataset', part['dataset'])


def _is_number(value: Any) -> bool:
    return fits(value, int) and not isinstance(value, bool) and value >= 1


def _dataset(key: str, part: Any, scope: str | None = None) -> Iterator[str]:
    yield from _typed(key, part, DATASETS, scope=scope)
    if not isinstance(part, Mapping):
        return
    if not isinstance(part.get('data_root'), str | PurePath | None):
        yield f'{key}.data_root must be a folder, got {part["data_root"]!r}'
    prefix = part.get('data_prefix')
    for name, folder in prefix.items() if isinstance(prefix, Mapping) else ():
        if not isinstance(folder, str | PurePath):
            yield f'{key}.data_prefix.{name} must be a folder, got {folder!r}'
    scope = part.get('_scope_', scope)
    pipeline = part.get('pipeline')
    if pipeline is not None and not isinstance(pipeline, list | tuple):
        yield f'{key}.pipeline must be a list of steps, got {pipeline!r}'
        return
    for place, step in enumerate(pipeline or ()):
        yield from _typed(f'{key}.pipeline.{place}', step, TRANSFORMS, scope=scope)
    if isinstance(part.get('dataset'), Mapping):
        yield from _dataset(f'{key}.dataset', part['dataset'], scope)
    several = part.get('datasets')
    if isinstance(several, list | tuple):
        for place, each in enumerate(several):
            yield from _dataset(f'{key}.datasets.{place}', each, scope)


def _evaluator(key: str, part: Any) -> Iterator[str]:
    if isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from _typed(f'{key}.{place}', each, METRICS)
    elif isinstance(part, Mapping) and 'metrics' in part:
        yield from _evaluator(f'{key}.metrics', part['metrics'])
    else:
        yield from _typed(key, part, METRICS)


def _schedules(key: str, part: Any) -> Iterator[str]:
    if isinstance(part, list | tuple):
        for place, each in enumerate(part):
            yield from _schedules(f'{key}.{place}', each)
    elif isinstance(part, Mapping) and 'type' not in part:
        for name, each in part.items():
            if not isinstance(each, Mapping | list | tuple):
                yield f'{key}.type is missing; the keys are {[*part]}'
                return
            yield from _schedules(f'{key}.{name}', each)
    elif part is not None:
        yield from _typed(key, part, PARAM_SCHEDULERS, ('convert_to_iter_based',))


def _wrapper(part: Any) -> Iterator[str]:
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
    yield from _typed(f'{key}.optimizer', part['optimizer'], OPTIMIZERS)
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
        if base is not None:
            yield from (
                _typed(f'{key}.base', base, OPTIM_WRAPPERS, ('type',))
                if isinstance(base, Mapping) and 'type' in base
                else ()
            )
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


def _environment(cfg: Config) -> Iterator[str]:
    """Plain dicts of which mmengine reads what it knows, and passes over the rest."""
    env = cfg.get('env_cfg')
    if not isinstance(env, Mapping | None):
        yield f'env_cfg must be a dict, got {env!r}'
        return
    several = [*parameters_of(set_multi_processing).named]
    seeds = [*parameters_of(set_random_seed).named]
    for key, part, known, function in (
        ('env_cfg', env, ['cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'], dict),
        ('env_cfg.mp_cfg', (env or {}).get('mp_cfg'), several, set_multi_processing),
        ('randomness', cfg.get('randomness'), seeds, set_random_seed),
        ('auto_scale_lr', cfg.get('auto_scale_lr'), ['base_batch_size', 'enable'], dict),
    ):
        if part is None:
            continue
        if not isinstance(part, Mapping):
            yield f'{key} must be a dict, got {part!r}'
            continue
        for name in part:
            if name not in known:
                yield f'{key}.{name}: no such key{did_you_mean(name, known)}; it takes {known}'
        yield from (f'{key}.{text}' for text in unfit(function, part))
