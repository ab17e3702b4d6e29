"""TorchJD's aggregators, from a config.

TorchJD is imported where it is used, so that all else works without it.
"""

import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from mmgradsplit.registry import AGGREGATORS
from mmgradsplit.utils import did_you_mean

KEY = 'optim_wrapper.aggregator'
PREFIX = 'torchjd.'
# What these make of a column depends on this column, and on the number of rows, alone.
BY_COLUMN = ('Constant', 'GradDrop', 'Mean', 'Random', 'Sum', 'TrimmedMean')
# Its state has an element for each column.
STATE_BY_COLUMN = ('ExcessMTL',)


def torchjd_aggregation() -> ModuleType:
    """The module ``torchjd.aggregation``.

    Raises:
        ImportError: If TorchJD is not installed.
    """
    try:
        from torchjd import aggregation
    except ImportError as error:
        raise ImportError(f'{KEY} needs TorchJD: pip install "torchjd[full]"') from error
    return aggregation


def known_aggregators() -> list[str]:
    """Names of TorchJD's aggregators, without the base classes."""
    module = torchjd_aggregation()
    return [
        name
        for name in module.__all__
        if issubclass(getattr(module, name), module.Aggregator) and not name.endswith('Aggregator')
    ]


def build_aggregator(cfg: Mapping[str, Any], tasks: Sequence[str], like: Tensor) -> Any:
    """Build ``optim_wrapper.aggregator``.

    Args:
        cfg: ``dict(type='torchjd.PCGrad')``, with the arguments of TorchJD's class. Where it takes
            a vector with a number for each task (``weights``, ``pref_vector``, ``leak``), give a
            list, or a dict by task. ``n_tasks`` is filled in. Or the config of a
            ``torchjd.aggregation.Aggregator`` that is registered in ``AGGREGATORS``.
        tasks: Names of the tasks, in order.
        like: Vectors are made of its type and on its device.

    Returns:
        A ``torchjd.aggregation.Aggregator``.

    Raises:
        ValueError: If there is no such aggregator, or its arguments do not fit.
        ImportError: If TorchJD, or a package that the aggregator needs, is not installed.
    """
    module = torchjd_aggregation()
    if not isinstance(cfg, Mapping) or not isinstance(cfg.get('type'), str):
        raise ValueError(f"{KEY} must be a dict such as dict(type='torchjd.PCGrad'), got {cfg!r}")
    options = dict(cfg)
    kind = options.pop('type')
    known = known_aggregators()
    name = kind.removeprefix(PREFIX)
    if kind == name and name not in known and AGGREGATORS.get(kind) is not None:
        built = AGGREGATORS.build(dict(cfg))
        if not isinstance(built, module.Aggregator):
            raise ValueError(f"{KEY}.type: '{kind}' is no torchjd.aggregation.Aggregator")
        return built
    if kind == name or name not in known:
        names = [*sorted(AGGREGATORS.module_dict), *(PREFIX + each for each in known)]
        raise ValueError(
            f"{KEY}.type: there is no '{kind}'; the known ones are {names}"
            f'{did_you_mean(kind, names)}'
        )
    cls = getattr(module, name)
    if 'n_tasks' in inspect.signature(cls).parameters:
        options.setdefault('n_tasks', len(tasks))
    options = {key: _vector(key, value, tasks, like) for key, value in options.items()}
    try:
        return cls(**options)
    except ImportError as error:
        raise ImportError(f'{KEY}: {error}') from error
    except (TypeError, ValueError) as error:
        raise ValueError(f'{KEY} ({kind}): {error}') from error


def _vector(key: str, value: Any, tasks: Sequence[str], like: Tensor) -> Any:
    """A list, or a dict by task, as a vector with a number for each task."""
    if isinstance(value, Mapping):
        if sorted(value) != sorted(tasks):
            raise ValueError(
                f'{KEY}.{key} must have a number for each of the tasks {list(tasks)}, got '
                f'{dict(value)}'
            )
        value = [value[task] for task in tasks]
    if not isinstance(value, list | tuple):
        return value
    if len(value) != len(tasks):
        raise ValueError(
            f'{KEY}.{key} must have a number for each of the tasks {list(tasks)}, got '
            f'{list(value)}; a dict by task stays right where tasks are chosen'
        )
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def check_for_features(aggregator: Any) -> None:
    """Check that an aggregator can be applied to the features of a batch.

    Raises:
        ValueError: If it cannot, or not where every process has features of its own.
    """
    module = torchjd_aggregation()
    name = type(aggregator).__name__
    if name in STATE_BY_COLUMN:
        raise ValueError(
            f"optim_wrapper.on='features': {name} keeps a value for each parameter, but features "
            f"are different ones in every step; use on='backbone'"
        )
    by_gramian = isinstance(aggregator, module.GramianWeightedAggregator)
    if get_world_size() > 1 and not by_gramian and name not in BY_COLUMN:
        raise ValueError(
            f"optim_wrapper.on='features': {name} needs the features of all processes at once; use "
            f"on='backbone', or one process"
        )
