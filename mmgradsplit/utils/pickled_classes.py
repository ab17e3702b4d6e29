"""The classes that a checkpoint may hold beside weights, because making one runs nobody's code."""

import argparse
import collections
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

try:
    from numpy._core import multiarray
except ImportError:  # NumPy 1
    from numpy.core import multiarray  # type: ignore[no-redef]

STATISTICS = ('current', 'max', 'mean', 'min')


def _statistic(owner: Any, name: Any) -> Callable[..., Any]:
    """What ``getattr`` may be asked for: the statistics of mmengine's history of a logged value.

    Python's own must not be called by a checkpoint: it leads from any function to its module, and
    from there to all of Python.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise ValueError(f'it asks for the attribute {name!r} of {owner!r}')
    return vars(HistoryBuffer)[name]


def pickled_classes() -> list[Any]:
    """What torch's unpickler for weights may make beside tensors.

    Its own list has tensors, their types and Python's containers. This one adds what mmengine
    writes (its logs, NumPy's arrays and scalars, configs), and what checkpoints of other projects
    are known to hold (arguments of a command, paths, dictionaries with a default).

    Returns:
        Classes and functions, or pairs of one and the name that a pickle has for it.
    """
    types = {type(np.dtype(code)) for code in np.typecodes['All']}
    functions = [
        (getattr(multiarray, name), f'{module}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for module in ('numpy._core', 'numpy.core')
    ]
    return [
        (_statistic, 'builtins.getattr'),
        HistoryBuffer,
        ConfigDict,
        np.ndarray,
        np.dtype,
        *types,
        *functions,
        collections.defaultdict,
        collections.deque,
        argparse.Namespace,
        pathlib.PosixPath,
        pathlib.PurePosixPath,
        *(dict, list, tuple, set, frozenset, int, float, complex, bool, str, slice, range),
    ]
