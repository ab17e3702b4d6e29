"""Values of a config that would train, but otherwise than they say: found before anything is built.

What mmengine takes without a word, and what habits of its single-task trainings mean here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mmengine.config import Config

from mmgradsplit.evaluation import read_references
from mmgradsplit.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmgradsplit.utils import ConfigError
from mmgradsplit.utils.signatures import fits

from .directions import all_hooks
from .methods import is_ours, wrapper_class

# Hooks of the toolboxes that change the data set, or read the results, of a training of one task,
# and what there is instead. They would announce it and change nothing.
FOR_ONE_DATA_SET = {
    **dict.fromkeys(
        (
            'PipelineSwitchHook', 'SwitchRecipeHook', 'YOLOXModeSwitchHook',
            'YOLOXPoseModeSwitchHook', 'RTMOModeSwitchHook',
        ),
        "it switches the pipeline of one data set; take dict(type='mmgradsplit.TaskSwitchHook', "
        "switch_epoch=..., pipelines=dict(TASK=[...])), which switches a task's",
    ),
    **dict.fromkeys(
        (
            'VisualizationHook', 'SegVisualizationHook', 'DetVisualizationHook',
            'PoseVisualizationHook', 'TrackVisualizationHook', 'GroundingVisualizationHook',
            'TrainAugmentDetVisualizationHook', 'BadCaseAnalysisHook',
        ),
        "it draws the results of one toolbox; take dict(type='PanelHook'), which draws those of "
        'all tasks',
    ),
    'PreciseBNHook': "it reads one data set, but this training has one for each task",
}  # fmt: skip
DRAW = ('draw', 'enable')  # without which the hooks of visualisation do nothing
WHOLE = ('max_epochs', 'max_iters', 'iters_per_epoch', 'val_begin', 'val_interval')


def complete_loaders(cfg: Config) -> None:
    """Drop what PyTorch allows with workers alone, where ``num_workers`` is 0."""
    for stage in ('train', 'val', 'test'):
        for _, loader in _loaders(cfg, stage):
            if loader.get('num_workers', 0) == 0:
                loader.pop('persistent_workers', None)
                loader.pop('prefetch_factor', None)


def check_values(cfg: Config, stages: Sequence[str]) -> None:
    """Find what would train otherwise than it says.

    Args:
        cfg: The config.
        stages: Which of ``'train'``, ``'val'`` and ``'test'`` are to run.

    Raises:
        ConfigError: If there is something.
    """
    for problem in _problems(cfg, stages):
        raise ConfigError(problem)
    for stage in stages:
        loop = cfg.get(f'{stage}_cfg')
        if isinstance(loop, Mapping) and 'references' in loop:
            given, evaluators = loop['references'], cfg.get(f'{stage}_evaluator')
            read_references(given, evaluators, f'{stage}_cfg.references')


def _problems(cfg: Config, stages: Sequence[str]) -> Iterator[str]:
    if not isinstance(cfg.get('load_from'), str | PurePath | Mapping | None):
        yield f'load_from must be a file, or files by part, got {cfg.load_from!r}'
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not (_is_whole(seed, 0) and seed < 2**32):
        yield f'randomness.seed must be a whole number from 0 to 2**32 - 1, or None, got {seed!r}'
    if 'train' in stages:
        yield from _schedule(cfg.get('train_cfg'))
        yield from _update(cfg.get('optim_wrapper'))
        for key, loader in _loaders(cfg, 'train'):
            yield from _batch(key, loader)
        if cfg.get('compile') and 'tasks' in cfg.model:
            yield (
                'compile: torch.compile cannot hold the step of a multi-task network, whose tasks '
                'and updates change from step to step; remove the key'
            )
    if 'tasks' in cfg.model:
        yield from _preprocessors(cfg.model.tasks)
        yield from _hooks(cfg)


def _schedule(loop: Any) -> Iterator[str]:
    if not isinstance(loop, Mapping):
        return
    for name in WHOLE:
        value = loop.get(name, 1)
        unset = value is None and name == 'iters_per_epoch'  # once through the data
        if not unset and not _is_whole(value, 1):
            yield f'train_cfg.{name} must be a whole number of at least 1, got {value!r}'
    for pair in loop.get('dynamic_intervals') or ():
        pairs = isinstance(pair, list | tuple) and len(pair) == 2
        if not (pairs and all(_is_whole(each, 1) for each in pair)):
            yield (
                f'train_cfg.dynamic_intervals must be pairs of an epoch and an interval, both '
                f'whole numbers of at least 1, got {pair!r}'
            )
    if 'allocator' in loop and loop['allocator'] is None:
        yield (
            "train_cfg.allocator is None: set dict(type='FullTask') for all tasks of every sample, "
            "dict(type='STA') or dict(type='ISTA'), or leave it out"
        )


def _is_whole(value: Any, least: int) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return bool(number and math.isfinite(value) and value == int(value) and value >= least)


def _update(wrapper: Any) -> Iterator[str]:
    if not isinstance(wrapper, Mapping):
        return
    for key, part in (('optim_wrapper', wrapper), ('optim_wrapper.base', wrapper.get('base'))):
        if not isinstance(part, Mapping):
            continue
        for name in ('max_norm', 'norm_type', 'clip_value'):
            value = (part.get('clip_grad') or {}).get(name, 1)
            if isinstance(value, str):
                continue  # 'inf', which torch knows
            if not isinstance(value, int | float) or not value > 0:
                why = ', which would turn the gradient round' if name == 'max_norm' else ''
                yield f'{key}.clip_grad.{name} must be a number above 0, got {value!r}{why}'
        count = part.get('accumulative_counts', 1)
        if not _is_whole(count, 1):
            yield f'{key}.accumulative_counts must be a whole number of at least 1, got {count!r}'
    built = wrapper.get('constructor')
    kind: Any = OPTIM_WRAPPER_CONSTRUCTORS.get(built) if isinstance(built, str) else built
    serves = getattr(kind, 'serves', None)
    if serves is not None and not issubclass(wrapper_class(wrapper), serves):
        name = wrapper.get('type', 'OptimWrapper')
        yield (
            f"optim_wrapper.type is '{name}', but {kind.__name__} (optim_wrapper.constructor) "
            f"builds a {serves.__name__}, and '{name}' would be ignored: set optim_wrapper.type="
            f"'{serves.__name__}', and optim_wrapper.base=dict(type='{name}') for its precision"
        )
    base = wrapper.get('base')
    if isinstance(base, Mapping) and is_ours(base):
        yield f"optim_wrapper.base.type must be a wrapper of mmengine's, got '{base.get('type')}'"


def _batch(key: str, loader: Mapping[str, Any]) -> Iterator[str]:
    sampler = loader.get('sampler')
    own = sampler.get('batch_size') if isinstance(sampler, Mapping) else None
    if own is not None and 'batch_size' in loader and own != loader['batch_size']:
        yield (
            f'{key}.batch_size is {loader["batch_size"]}, but {key}.sampler.batch_size is {own}: '
            f'the sampler groups the samples of a batch, so give both the same'
        )


def _preprocessors(tasks: Mapping[str, Any]) -> Iterator[str]:
    for task, model in tasks.items():
        part = model.get('data_preprocessor') if isinstance(model, Mapping) else None
        for name in ('mean', 'std'):
            values = part.get(name) if isinstance(part, Mapping) else None
            if values is not None and not (
                isinstance(values, list | tuple)
                and all(fits(each, float) and (name == 'mean' or each > 0) for each in values)
            ):
                above = '' if name == 'mean' else ' above 0'
                yield (
                    f'model.tasks.{task}.data_preprocessor.{name} must be a list of numbers'
                    f'{above}, one for each channel, got {values!r}'
                )


def _hooks(cfg: Config) -> Iterator[str]:
    for key, hook in all_hooks(cfg):
        name = str(hook.get('type')).rpartition('.')[2]
        off = 'Visualization' in name and not any(hook.get(switch) for switch in DRAW)
        if name in FOR_ONE_DATA_SET and not off:
            yield f'{key} ({name}): {FOR_ONE_DATA_SET[name]}'


def _loaders(cfg: Config, stage: str) -> Iterator[tuple[str, Any]]:
    """The dataloaders of a stage: of the tasks, or the only one."""
    key = f'{stage}_dataloader'
    part = cfg.get(key)
    if isinstance(part, Mapping):
        if 'dataset' in part:
            yield key, part
        else:
            for task, each in part.items():
                if isinstance(each, Mapping):
                    yield f'{key}.{task}', each
