"""Methods by name: a file each in ``configs/_base_/methods``, and how to use one in a config."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmgradsplit.config_files import CONFIGS
from mmgradsplit.engine.loops import JointTrainLoop
from mmgradsplit.evaluation import lower_is_better
from mmgradsplit.functional import by_task
from mmgradsplit.optim import AutocastOptimWrapper, MultiTaskOptimWrapper, Weighting
from mmgradsplit.optim.weightings import weighting_class, weighting_needs
from mmgradsplit.registry import LOOPS, OPTIM_WRAPPERS
from mmgradsplit.utils import did_you_mean

FOLDER = CONFIGS / '_base_' / 'methods'
# What stays of a config's optimizer wrapper under another method.
KEPT = ('optimizer', 'paramwise_cfg', 'accumulative_counts', 'clip_grad', 'base')
# What of it says how a network is split, whatever the relations.
SPLIT = ('modules', 'split_norm', 'threshold')


def method_names() -> list[str]:
    """The names of all methods, each of which has a file."""
    return sorted(path.stem for path in FOLDER.glob('*.py'))


def load_method(name: str) -> dict[str, Any]:
    """The settings of a method.

    Args:
        name: One of :func:`method_names`, or the path of a method file of one's own.

    Returns:
        What the method sets of a config: ``optim_wrapper``, ``train_cfg`` or both, and the names of
        the modules to import in ``custom_imports``, where its file has any.

    Raises:
        ValueError: If there is no such method, or its file does not define it.
    """
    path = Path(name) if name.endswith('.py') else FOLDER / f'{name}.py'
    if not path.is_file():
        known = method_names()
        raise ValueError(f"there is no method '{name}', only {known}{did_you_mean(name, known)}")
    content = Config.fromfile(path, format_python_code=False)
    found, imports = content.get(path.stem), content.get('custom_imports', {}).get('imports', [])
    if not isinstance(found, Mapping) or not {*found} <= {'optim_wrapper', 'train_cfg'}:
        raise ValueError(
            f"'{path}' is no method file: it must define {path.stem} = dict(optim_wrapper=dict(...)"
            f', train_cfg=dict(...)), one of the two or both'
        )
    own = dict(custom_imports=[imports] if isinstance(imports, str) else list(imports))
    return copy.deepcopy({**found, **(own if imports else {})})


def use_method(cfg: Config, name: str, accuracies: Mapping[str, Any] | None = None) -> None:
    """Let a config train by a method, in place of what it trains by.

    Its optimizer, precision, accumulation and clipping stay; GradSplit's mask, another weighting,
    aggregator or allocator give way. What only the config can know comes from it: GradSplit's
    relations from its ``relations``, the accuracies that AMTL and DTP follow from its
    ``accuracies`` (one metric of each task with its single-task value), or else from
    ``val_cfg.references``: the first of each task of which a higher value is better. Where the
    method follows the accuracies of the validation, there is one after every epoch.

    Args:
        cfg: A multi-task config, joint or round-robin; it changes.
        name: As for :func:`load_method`.
        accuracies: In place of the config's.

    Raises:
        ValueError: If there is no such method, the config cannot be trained by it, or it needs
            something that the config does not have.
    """
    method = load_method(name)
    wrapper, train_cfg = cfg.optim_wrapper, cfg.train_cfg
    if 'optimizer' not in wrapper:
        raise ValueError(
            f'--method {name}: optim_wrapper has a wrapper a task, of which no method can be made; '
            f'give it one optimizer'
        )
    kept = {key: wrapper[key] for key in KEPT if key in wrapper}
    if not is_ours(wrapper):
        # mmengine's own, such as AmpOptimWrapper, with all its keys.
        beside = ('optimizer', 'paramwise_cfg', 'constructor')
        kept['base'] = {key: value for key, value in wrapper.items() if key not in beside}
        kept = {key: value for key, value in kept.items() if key in ('base', *beside)}
    split = {key: wrapper[key] for key in SPLIT if wrapper.get(key) not in (None, [])}
    train_cfg.pop('allocator', None)
    allocates = 'allocator' in method.get('train_cfg', {})
    if allocates and not trains_jointly(cfg):
        raise ValueError(
            f"the method '{name}' allocates tasks to the samples of one data set; it needs joint "
            f'training (train_cfg.type JointTrainLoop)'
        )
    imports = method.pop('custom_imports', None)
    if imports:
        given = cfg.get('custom_imports', {}).get('imports', [])
        every = [*([given] if isinstance(given, str) else given), *imports]
        cfg.custom_imports = dict(imports=list(dict.fromkeys(every)), allow_failed_imports=False)
    cfg.optim_wrapper = {'type': 'MultiTaskOptimWrapper', **kept}
    cfg.merge_from_dict(method)
    cfg.method = Path(name).stem
    if 'relations' in wrapper_class(cfg.optim_wrapper).config_keys:
        if cfg.optim_wrapper.get('modules') == []:  # the multi-head baseline's
            split.pop('modules', None)
        cfg.optim_wrapper.update(split)
        _give_relations(cfg, name)
    _give_accuracies(cfg, name, accuracies)
    reason = wrapper_class(cfg.optim_wrapper).why_joint_only(cfg.optim_wrapper)
    if reason and not trains_jointly(cfg):
        raise ValueError(f"the method '{name}' does not go with this config: {reason}")


def _give_relations(cfg: Config, name: str) -> None:
    wrapper = cfg.optim_wrapper
    wrapper.setdefault('relations', cfg.get('relations'))
    if wrapper.relations is None:
        raise ValueError(
            f"the method '{name}' needs the relations between the tasks: set relations in the "
            f'config to a JSON file (`mmgradsplit estimate-relations` measures them), a matrix, or '
            f"'none'"
        )


def _give_accuracies(cfg: Config, name: str, accuracies: Mapping[str, Any] | None) -> None:
    weighting = cfg.optim_wrapper.get('weighting')
    kind = weighting_class((weighting or {}).get('type'))
    if kind is None or kind.from_accuracies.__func__ is Weighting.from_accuracies.__func__:  # type: ignore[attr-defined]
        return
    found = accuracies_of(cfg) if accuracies is None else accuracies
    if not found:
        raise ValueError(
            f"the method '{name}' follows the accuracy of each task: set accuracies in the config "
            'to a metric of each, in percent and better when higher, with its single-task value, '
            "such as {'seg/mIoU': 43.9, 'depth/delta1': 80.5}"
        )
    errors = [name for name in found if lower_is_better(name, cfg.get('val_evaluator'))]
    if errors:
        raise ValueError(
            f"the method '{name}' follows the accuracy of each task, but of {errors} a lower value "
            f'is better: name other metrics in accuracies'
        )
    for key, value in kind.from_accuracies(found).items():
        weighting.setdefault(key, value)
    if needs_validation(cfg):
        cfg.train_cfg.update(val_begin=1, val_interval=1)
        cfg.train_cfg.pop('dynamic_intervals', None)


def accuracies_of(cfg: Config) -> dict[str, Any]:
    """The accuracy of each task with its single-task value, as far as a config says it."""
    if cfg.get('accuracies'):
        return dict(cfg.accuracies)
    references = (cfg.get('val_cfg') or {}).get('references') or {}
    rising = {
        name: value['value'] if isinstance(value, Mapping) else value
        for name, value in references.items()
        if not (isinstance(value, Mapping) and value.get('lower_is_better'))
        and not lower_is_better(name, cfg.get('val_evaluator'))
    }
    return {names[0]: rising[names[0]] for names in by_task(rising).values()}


def needs_validation(cfg: Mapping[str, Any]) -> bool:
    """Whether the method of a config follows the accuracies of the validation."""
    return 'metrics' in weighting_needs((cfg.get('optim_wrapper') or {}).get('weighting'))


def trains_jointly(cfg: Mapping[str, Any]) -> bool:
    """Whether a config trains all tasks on the samples of one data set, by JointTrainLoop."""
    kind = (cfg.get('train_cfg') or {}).get('type', 'EpochBasedTrainLoop')
    loop = LOOPS.get(kind) if isinstance(kind, str) else kind
    return isinstance(loop, type) and issubclass(loop, JointTrainLoop)


def wrapper_class(wrapper: Mapping[str, Any]) -> Any:
    """The class that the config of an optimizer wrapper names, or None where it is unknown."""
    kind = wrapper.get('type', 'OptimWrapper')
    return OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind


def is_ours(wrapper: Mapping[str, Any]) -> bool:
    """Whether the config of an optimizer wrapper is of one that makes updates of task losses."""
    kind = wrapper_class(wrapper)
    return isinstance(kind, type) and issubclass(kind, MultiTaskOptimWrapper)


def is_mixed(wrapper: Mapping[str, Any]) -> bool:
    """Whether the config of mmengine's optimizer wrapper is one in mixed precision."""
    kind = wrapper_class(wrapper)
    mixed: tuple[type[OptimWrapper], ...] = (AmpOptimWrapper, AutocastOptimWrapper)
    return isinstance(kind, type) and issubclass(kind, mixed)
