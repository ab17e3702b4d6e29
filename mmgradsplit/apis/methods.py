"""The multi-task optimisation methods by name, and how to put one into a config.

May import mmengine, and the names that optim and models know.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmgradsplit.optim.aggregation.aggregators import known_aggregators
from mmgradsplit.optim.weightings.scalarizers import TORCHJD, scalarizers
from mmgradsplit.registry import MODELS

from .preparation import is_mixed

UNIFORM = 'uniform'
WEIGHTING, AGGREGATOR = 'model.weighting', 'optim_wrapper.aggregator'
# What stays of a config's optimizer wrapper under another method.
KEPT = ('optimizer', 'paramwise_cfg', 'accumulative_counts', 'clip_grad')
# GradNorm's own learning rate is 0.025; the factor of the network's is set to give it.
GRAD_NORM_RATE = 0.025


def _aggregated(name: str, on: str = 'backbone', **options: Any) -> dict[str, Any]:
    return {AGGREGATOR: dict(type=f'torchjd.{name}', **options), 'optim_wrapper.on': on}


# By name: values for keys of a config, on top of uniform weighting. Besides these, any of TorchJD's
# names is a method ('torchjd.FairGrad').
METHODS: dict[str, dict[str, Any]] = {
    UNIFORM: {},
    # One loss out of the task losses.
    'uw': {WEIGHTING: dict(type='torchjd.UW')},
    'rlw': {WEIGHTING: dict(type='torchjd.Random')},
    'dwa': {WEIGHTING: dict(type='torchjd.DWA')},
    'gls': {WEIGHTING: dict(type='torchjd.GeometricMean')},
    'imtl_l': {WEIGHTING: dict(type='torchjd.IMTLL')},
    'famo': {WEIGHTING: dict(type='torchjd.FAMO')},
    'stch': {WEIGHTING: dict(type='torchjd.STCH', mu=1.0)},
    'gradnorm': {WEIGHTING: dict(type='GradNormWeighting')},
    'dtp': {WEIGHTING: dict(type='DTPWeighting')},
    'amtl': {WEIGHTING: dict(type='AMTLWeighting')},
    'amtl_arithmetic': {WEIGHTING: dict(type='AMTLWeighting', form='arithmetic')},
    # One gradient out of the task gradients.
    'mgda': _aggregated('MGDA'),
    'mgda_ub': _aggregated('MGDA', 'features'),
    'pcgrad': _aggregated('PCGrad'),
    'pcgrad_last_layer': _aggregated('PCGrad', 'last_layer'),
    'pcgrad_features': _aggregated('PCGrad', 'features'),
    'cagrad': _aggregated('CAGrad', c=0.5),
    'cagrad_features': _aggregated('CAGrad', 'features', c=0.5),
    'imtl_g': _aggregated('IMTLG', 'features'),
    'imtl': {WEIGHTING: dict(type='torchjd.IMTLL'), **_aggregated('IMTLG', 'features')},
    'graddrop': _aggregated('GradDrop', 'features'),
    'upgrad': _aggregated('UPGrad'),
    'aligned_mtl': _aggregated('AlignedMTL'),
    'nash_mtl': _aggregated('NashMTL'),
    'cosreg': {'optim_wrapper.type': 'CosRegOptimWrapper', 'optim_wrapper.weight': 1.0},
    'dropgrad': {
        'optim_wrapper.type': 'GradSplitOptimWrapper',
        'optim_wrapper.modules': ['*layer4'],  # also of a backbone within another
        'optim_wrapper.optimizers': 'shared',
        'optim_wrapper.drop_grad': 0.5,
    },
}


def known_methods() -> list[str]:
    """The names of all methods."""
    names = dict.fromkeys([*known_aggregators(), *scalarizers()])
    return [*METHODS, *(TORCHJD + name for name in names)]


def method_options(name: str) -> dict[str, Any]:
    """The values for keys of a config that a method sets.

    Args:
        name: One of :func:`known_methods`. Where TorchJD has an aggregator and a scalarizer of a
            name, it is the aggregator.

    Raises:
        ValueError: If there is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    kind = name.removeprefix(TORCHJD)
    if name.startswith(TORCHJD) and kind in known_aggregators():
        return _aggregated(kind)
    if name.startswith(TORCHJD) and kind in scalarizers():
        return {WEIGHTING: dict(type=name)}
    known = known_methods()
    short = {each.removeprefix(TORCHJD).lower(): each for each in reversed(known)}
    near = difflib.get_close_matches(kind.lower(), short, n=1)
    hint = f"; did you mean '{short[near[0]]}'?" if near else ''
    raise ValueError(f"there is no method '{name}', only {known}{hint}")


def use_method(
    cfg: Config,
    name: str,
    accuracies: Sequence[str] = (),
    references: Mapping[str, Any] | None = None,
) -> None:
    """Let a config train by a method, in place of what it trains by.

    Its optimizer stays; GradSplit's mask, another aggregator or weighting give way. Where the
    method follows the accuracies of the validation, there is one after every epoch.

    Args:
        cfg: A multi-task config, joint or round-robin; it changes.
        name: One of :func:`known_methods`.
        accuracies: A metric a task as ``'task/metric'``, in percent, for ``dtp``.
        references: Of ``amtl``, see :class:`~mmgradsplit.models.AMTLWeighting`: the single-task
            value of these metrics.

    Raises:
        ValueError: If there is no such method, it needs accuracies and there are none, or the
            config itself says mixed precision, which not every method can be trained in.
    """
    options = method_options(name)
    wrapper = cfg.optim_wrapper
    for key, part in (('', wrapper), ('base.', wrapper.get('base', {}))):
        if is_mixed(part):
            raise ValueError(
                f"optim_wrapper.{key}type: '{part.type}' is mixed precision, which depends on the "
                f'method; leave it out of the config and ask for it with --amp'
            )
    cfg.model.pop('weighting', None)
    cfg.optim_wrapper = {key: wrapper[key] for key in KEPT if key in wrapper}
    for key, value in wrapper.get('base', {}).items():  # GradSplit's
        if key in KEPT:
            cfg.optim_wrapper[key] = value
    cfg.optim_wrapper['type'] = 'OptimWrapper'
    cfg.merge_from_dict(options)
    if follows_validation(cfg):
        cfg.train_cfg.update(val_begin=1, val_interval=1)
        cfg.train_cfg.pop('dynamic_intervals', None)
    kind = cfg.model.get('weighting', {}).get('type')
    if kind == 'GradNormWeighting':
        optimizer = cfg.optim_wrapper.optimizer
        own = dict(lr_mult=GRAD_NORM_RATE / optimizer.lr)
        if 'weight_decay' in optimizer:
            own['decay_mult'] = 0.0
        cfg.merge_from_dict({'optim_wrapper.paramwise_cfg.custom_keys.weighting': own})
    elif kind == 'DTPWeighting':
        _need(name, accuracies, 'the metric that is the accuracy of each task')
        cfg.model.weighting.metrics = list(accuracies)
    elif kind == 'AMTLWeighting':
        _need(name, references, 'the single-task accuracy of each task')
        cfg.model.weighting.references = dict(references or {})


def follows_validation(cfg: Mapping[str, Any]) -> bool:
    """Whether the weighting of a config follows the accuracies of the validation."""
    kind = ((cfg.get('model') or {}).get('weighting') or {}).get('type')
    if isinstance(kind, str):
        kind = None if kind.startswith(TORCHJD) else MODELS.get(kind)
    return 'metrics' in getattr(kind, 'needs', ())


def _need(name: str, given: Any, words: str) -> None:
    if not given:
        raise ValueError(f"the method '{name}' needs {words}")
