"""Reads relations between tasks from a config or a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
from numpy.typing import NDArray

from mmgradsplit.functional import relation_mask

KEY = 'optim_wrapper.relations'


def load_mask(relations: Any, tasks: Sequence[str], threshold: float) -> NDArray[np.bool_]:
    """Relation mask for ``tasks`` from the config's ``relations``.

    Args:
        relations: What :func:`load_changes` takes, or ``'all'`` for a mask of ones (the multi-head
            baseline) or ``'none'`` for the identity (each group is moved by its own task alone).
        tasks: Names of the tasks in the order of the filter groups.
        threshold: The relation t' -> t is negative where ``A[t' -> t] < threshold``.

    Returns:
        shape [T x T], ``m[t, t']`` of Eq. a-1.

    Raises:
        ValueError: If the relations do not fit the tasks.
        FileNotFoundError: If the file is not there.
    """
    if isinstance(relations, str) and relations == 'all':
        return np.ones((len(tasks), len(tasks)), dtype=bool)
    if isinstance(relations, str) and relations == 'none':
        return np.eye(len(tasks), dtype=bool)
    if np.isnan(threshold):
        raise ValueError('optim_wrapper.threshold is NaN; GradSplit uses -0.01')
    return relation_mask(load_changes(relations, tasks), threshold)


def load_changes(relations: Any, tasks: Sequence[str]) -> NDArray[np.float64]:
    """Relative accuracy changes ``A[t' -> t]`` from a file or the config.

    Args:
        relations: One of

            - path of a JSON file ``{"relations": {"attribute -> reid": -0.0216, ...}}``, which may
              hold more tasks than are asked for;
            - ``dict(tasks=[...], changes=[[...], ...])``: a matrix that names its tasks;
            - a matrix: row t', column t is ``A[t' -> t]``; the diagonal is ignored.
        tasks: Names of the tasks in the order of the filter groups.

    Returns:
        shape [T x T], zero on the diagonal.

    Raises:
        ValueError: If the relations do not fit the tasks, or one is missing or NaN.
        FileNotFoundError: If the file is not there.
    """
    if isinstance(relations, str | Path):
        return _from_file(Path(relations), tasks)
    if isinstance(relations, Mapping):
        if set(relations) != {'tasks', 'changes'}:
            raise ValueError(
                f"{KEY}: a dict needs the keys 'tasks' and 'changes', got {sorted(relations)}"
            )
        if list(relations['tasks']) != list(tasks):
            raise ValueError(
                f'{KEY}: the matrix is for the tasks {list(relations["tasks"])}, but the model has '
                f'{list(tasks)}, in this order; sort its rows and columns likewise'
            )
        relations = relations['changes']
    try:
        changes = np.array(relations, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{KEY} must be 'all', 'none', a JSON file or a matrix of numbers, got {relations!r}"
        ) from error
    if changes.shape != (len(tasks), len(tasks)):
        raise ValueError(
            f'{KEY}: a matrix for the {len(tasks)} tasks {list(tasks)} has shape '
            f'{(len(tasks), len(tasks))}, got {changes.shape}'
        )
    return _checked(changes, tasks, KEY)


def _from_file(path: Path, tasks: Sequence[str]) -> NDArray[np.float64]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{KEY}: no file '{path}'; give a JSON file of relations, a matrix, 'all' or 'none'"
        )
    try:
        content = mmengine.load(path, file_format='json')
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{KEY}: '{path}' is not valid JSON: {error}") from error
    entries = content.get('relations') if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise ValueError(f"{KEY}: '{path}' has no mapping 'relations' of \"t' -> t\" to a number")
    changes = np.zeros((len(tasks), len(tasks)))
    for i, source in enumerate(tasks):
        for j, target in enumerate(tasks):
            if i == j:
                continue
            name = f'{source} -> {target}'
            value = entries.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(
                    f"{KEY}: '{path}' has no number for '{name}'; it has {sorted(entries)}"
                )
            changes[i, j] = value
    # What was measured here is no percent, however large.
    return _checked(changes, tasks, f"{KEY}: '{path}'", 'provenance' not in content)


def _checked(
    changes: NDArray[np.float64], tasks: Sequence[str], origin: str, by_hand: bool = True
) -> NDArray[np.float64]:
    np.fill_diagonal(changes, 0.0)
    for i, j in np.argwhere(np.isnan(changes)):
        name = f'{tasks[i]} -> {tasks[j]}'
        raise ValueError(f'{origin}: the relation {name} is NaN; measure it again')
    for i, j in np.argwhere(np.abs(changes) > 1) if by_hand else ():
        raise ValueError(
            f'{origin}: the relation {tasks[i]} -> {tasks[j]} is {changes[i, j]:g}, but relations '
            f'are relative changes, not percent: write -0.0216 for a loss of 2.16%. One that is '
            f'really beyond 1 can be written as 1 or -1: the mask is the same'
        )
    return changes
