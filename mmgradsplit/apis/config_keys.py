"""Looks at the keys of a config before anything is built, and before a data folder is asked for.

What is built late, or only after data sets have been read, is compared with what its class takes:
dataloaders with their data sets, pipelines and samplers, evaluators, loops, optimizers, schedules
and hooks. The network is built before any data set, and names its keys itself.
"""

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    Runner,
    TestLoop,
    ValLoop,
    set_random_seed,
)
from mmengine.utils.dl_utils import set_multi_processing

from mmgradsplit.engine.loops.dataloaders import check_tasks
from mmgradsplit.registry import HOOKS, LOOPS
from mmgradsplit.utils import ConfigError, did_you_mean
from mmgradsplit.utils.config_errors import unknown_words
from mmgradsplit.utils.signatures import parameters_of, unfit

from .data_keys import evaluator_problems, loader_problems
from .typed_keys import compared_problems, found_class, switches_problems, typed_problems
from .update_keys import schedules_problems, wrapper_problems

TOP = (
    {*inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}
) | {
    'accuracies', 'activation_checkpointing', 'compile', 'custom_imports',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'method', 'model_wrapper_cfg', 'references',
    'relations', 'runner_type', 'sync_bn', 'tasks',
}  # fmt: skip
DEFAULT_HOOKS = (
    'checkpoint', 'logger', 'param_scheduler', 'runtime_info', 'sampler_seed', 'timer',
)  # fmt: skip
# What is a dict wherever it is given.
DICTS = (
    'default_hooks', 'env_cfg', 'model', 'optim_wrapper', 'randomness', 'test_cfg', 'train_cfg',
    'val_cfg',
)  # fmt: skip
# How alike a name has to be to a known one to be a mistake: configs have names of their own.
ALIKE = 0.86


def check_top_level(cfg: Config) -> None:
    """Find keys at the top that look like a mistyped one, which mmengine would not read.

    Raises:
        ConfigError: If there is one.
    """
    if not isinstance(cfg.default_scope, str):
        raise ConfigError(f'default_scope must be the name of a scope, got {cfg.default_scope!r}')
    unused = cfg.get('find_unused_parameters', False)
    if not isinstance(unused, bool):
        raise ConfigError(f'find_unused_parameters must be True or False, got {unused!r}')
    for name in DICTS:
        if not isinstance(cfg.get(name), dict | None):
            raise ConfigError(f'{name} must be a dict, got {cfg[name]!r}')
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
    yield from switches_problems('model', cfg.get('model'), None)
    for stage in stages:
        yield from _loop(f'{stage}_cfg', cfg.get(f'{stage}_cfg'), stage, bool(tasks))
        parts = [f'{stage}_{part}' for part in ('cfg', 'dataloader', 'evaluator')]
        parts = [*parts[:2], 'optim_wrapper'] if stage == 'train' else parts
        missing = [part for part in parts if cfg.get(part) is None]
        if missing:
            yield f'{missing[0]} is missing; {", ".join(parts)} belong together'
    if 'train' in stages:
        yield from wrapper_problems(cfg.get('optim_wrapper'))
        yield from schedules_problems('param_scheduler', cfg.get('param_scheduler'))
    for name, hook in (cfg.get('default_hooks') or {}).items():
        near = difflib.get_close_matches(name, DEFAULT_HOOKS, n=1, cutoff=ALIKE)
        if name not in DEFAULT_HOOKS and near:
            yield f"default_hooks.{name}: did you mean '{near[0]}', which would stay as it is?"
        if hook is not None:
            yield from typed_problems(f'default_hooks.{name}', hook, HOOKS)
    own = cfg.get('custom_hooks')
    if not isinstance(own, list | tuple | None):
        yield f'custom_hooks must be a list of hooks, got {own!r}'
    for place, hook in enumerate(own or ()):
        yield from typed_problems(f'custom_hooks.{place}', hook, HOOKS)
    yield from _environment(cfg)
    for stage in stages:
        key = f'{stage}_dataloader'
        for where, loader in _by_task(key, cfg.get(key), tasks, 'dataset'):
            yield from loader_problems(where, loader)
        if stage != 'train':
            key = f'{stage}_evaluator'
            for where, evaluator in _by_task(key, cfg.get(key), tasks, 'type'):
                yield from evaluator_problems(where, evaluator)


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


def _loop(key: str, part: Any, stage: str, by_task: bool) -> Iterator[str]:
    if part is None:
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
        kind = found_class(LOOPS, kind, part.get('_scope_'))
        if kind is None:
            yield f'{key}.type: {unknown_words(part["type"])}'
            return
    if 'type' not in part and by_task:
        names = 'RoundRobinTrainLoop' if stage == 'train' else f'MultiTask{stage.title()}Loop'
        yield f"{key}.type is missing; for a multi-task network it is '{names}'"
    yield from compared_problems(key, kind, given)
    missing = [
        name
        for name in parameters_of(kind).required
        if name not in given and name not in ('runner', 'dataloader', 'evaluator')
    ]
    if missing:
        yield f'{key}.{missing[0]} is missing; {kind.__name__} needs it'


def _environment(cfg: Config) -> Iterator[str]:
    """Plain dicts of which mmengine reads what it knows, and passes over the rest."""
    env = cfg.get('env_cfg')
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
