"""The relation masks of one relations file at several thresholds (Figure A-2), without training.

May import all of mmgradsplit.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import mmengine
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from mmgradsplit.functional import relation_mask
from mmgradsplit.optim.grad_split.relations import load_changes
from mmgradsplit.visualization import draw_masks, save_figure

THRESHOLDS = (-0.025, -0.015, -0.01, -0.009, 0.0, float('inf'))


def sweep_thresholds(
    relations: str | Path,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    tasks: Sequence[str] | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[float, NDArray[np.bool_]]:
    """Show the relation mask at each threshold, and between which thresholds it stays the same.

    Args:
        relations: JSON file of relations.
        thresholds: By default, those of Table A-2.
        tasks: Tasks in the order of the table; by default, all of the file.
        out: PNG file for a picture of the masks.
        console: For the tables.

    Returns:
        ``m[t, t']`` of shape [T x T] for each threshold.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is not one of relations, or lacks one between the tasks.
    """
    console = console or Console()
    names = tasks_of(relations) if tasks is None else list(tasks)
    changes = load_changes(relations, names)
    masks = {threshold: relation_mask(changes, threshold) for threshold in thresholds}
    for threshold, mask in masks.items():
        console.print(mask_table(mask, names, f'threshold {threshold:g}'))
    steps = np.unique(changes[~np.eye(len(names), dtype=bool)])
    console.print(
        'The mask changes just above: ' + ', '.join(f'{step:g}' for step in steps), soft_wrap=True
    )
    if out is not None:
        save_figure(draw_masks(masks, names), Path(out))
        console.print(f'Picture: {out}')
    return masks


def tasks_of(relations: str | Path) -> list[str]:
    """The tasks that a relations file speaks of, in the order in which it names them.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is not a file of relations.
    """
    if not Path(relations).is_file():
        raise FileNotFoundError(f"no relations file '{relations}'")
    try:
        names = list(mmengine.load(relations, file_format='json')['relations'])
        return list(dict.fromkeys(itertools.chain(*(name.split(' -> ') for name in names))))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{relations}' is no relations file, whose key 'relations' has a number for each "
            f'"t\' -> t": {error!r}'
        ) from error


def mask_table(mask: NDArray[np.bool_], tasks: Sequence[str], title: str) -> Table:
    """A relation mask as a table, trained with (row), performance on (column).

    Args:
        mask: shape [T x T], ``m[t, t']``.
        tasks: Names of the tasks.
        title: Title of the table.
    """
    table = Table(title=title)
    table.add_column('trained with')
    for task in tasks:
        table.add_column(f'on {task}', justify='center')
    for row, task in enumerate(tasks):
        table.add_row(task, *('—' if kept else '↓' for kept in mask[:, row]))
    return table
