"""What relations files say: the masks at several thresholds, and where two files agree."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import mmengine
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from mmgradsplit.functional import THRESHOLD, Agreement, relation_agreement, relation_mask
from mmgradsplit.optim import load_changes
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.visualization import draw_masks, save_figure


def sweep_thresholds(
    relations: str | Path,
    thresholds: Sequence[float],
    *,
    tasks: Sequence[str] | None = None,
    out: str | Path | None = None,
    console: Console | None = None,
) -> dict[float, NDArray[np.bool_]]:
    """Show the relation mask at each threshold, and between which thresholds it stays the same.

    Args:
        relations: JSON file of relations.
        thresholds: The thresholds, ``inf`` and ``-inf`` among them.
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
        rows = [
            [task, *('—' if kept else '↓' for kept in mask[:, row])]
            for row, task in enumerate(names)
        ]
        columns = ['trained with', *(f'on {task}' for task in names)]
        table = TextTable(columns, rows, ['trained with'], title=f'threshold {threshold:g}')
        console.print(table.for_terminal())
    steps = np.unique(changes[~np.eye(len(names), dtype=bool)])
    console.print(
        'The mask changes just above: ' + ', '.join(f'{step:g}' for step in steps), soft_wrap=True
    )
    if out is not None:
        save_figure(draw_masks(masks, names), Path(out))
        console.print(f'Picture: {out}', soft_wrap=True, markup=False)
    return masks


def compare_relations(
    first: str | Path,
    second: str | Path,
    thresholds: Sequence[float] | None = None,
    console: Console | None = None,
) -> Agreement:
    """Show where two relations files, such as a measured and an estimated one, agree.

    Args:
        first: JSON file of relations.
        second: JSON file of relations between the same tasks, or more.
        thresholds: The threshold of each file, or one for both. By default, what each file has as
            its ``threshold``: 0 in those of RelationEstimateHook, whose values are no accuracy
            changes; and :data:`~mmgradsplit.functional.THRESHOLD` for a file that has none.
        console: For the table.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one is not of relations, lacks one of the relations, or ``thresholds`` are
            not one or two numbers.
    """
    console = console or Console()
    files = (Path(first), Path(second))
    tasks = tasks_of(first)
    changes = (load_changes(files[0], tasks), load_changes(files[1], tasks))
    limits = [_threshold(file) for file in files] if thresholds is None else list(thresholds)
    if len(limits) not in (1, 2):
        raise ValueError(f'--threshold must be one number, or one for each file, got {limits}')
    limits = [limits[0], limits[-1]]
    agreement = relation_agreement(*changes, limits[0], limits[1])

    masks = [relation_mask(c, limit) for c, limit in zip(changes, limits, strict=True)]
    rows = []
    for i, j in np.argwhere(~np.eye(len(tasks), dtype=bool)):
        kept = [bool(mask[j, i]) for mask in masks]
        cells = [
            f'{change[i, j]:+.4g}{" " if k else "↓"}'
            for change, k in zip(changes, kept, strict=True)
        ]
        rows.append([f'{tasks[i]} -> {tasks[j]}', *cells, '✓' if kept[0] == kept[1] else '✗'])
    headings = [f'first, threshold {limits[0]:g}', f'second, threshold {limits[1]:g}']
    table = TextTable(
        ['relation', *headings, 'agree'], rows, ['relation'], title='Relations; ↓ negative'
    )
    console.print(f'first: {files[0]}\nsecond: {files[1]}', soft_wrap=True, markup=False)
    console.print(table.for_terminal())
    console.print(
        f'The masks agree on {agreement.same} of {agreement.pairs} relations '
        f'({agreement.share:.0%}); rank correlation of the values '
        f'{agreement.rank_correlation:+.2f}'
    )
    return agreement


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
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"'{relations}' is no relations file, whose key 'relations' has a number for each "
            f'"t\' -> t": {error!r}'
        ) from error


def _threshold(file: Path) -> float:
    threshold = mmengine.load(file, file_format='json').get('threshold')
    return THRESHOLD if threshold is None else float(threshold)
