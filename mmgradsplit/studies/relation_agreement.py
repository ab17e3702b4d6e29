"""Compares two relations files: what tools/analysis_tools/compare_relations.py calls.

May import all of mmgradsplit.
"""

from collections.abc import Sequence
from pathlib import Path

import mmengine
import numpy as np
from rich.console import Console
from rich.table import Table

from mmgradsplit.functional import Agreement, relation_agreement, relation_mask
from mmgradsplit.optim import load_changes

from .threshold_sweep import tasks_of

DEFAULT = -0.01


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
            changes; and -0.01 for a file that has none (section 3.1).
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
    console.print(f'first: {files[0]}\nsecond: {files[1]}', soft_wrap=True)
    table = Table(title='Relations; ↓ negative')
    table.add_column('relation')
    for name, limit in zip(('first', 'second'), limits, strict=True):
        table.add_column(f'{name}, threshold {limit:g}', justify='right')
    table.add_column('agree', justify='center')
    for i, j in np.argwhere(~np.eye(len(tasks), dtype=bool)):
        kept = [bool(mask[j, i]) for mask in masks]
        cells = [
            f'{change[i, j]:+.4g}{" " if k else "↓"}'
            for change, k in zip(changes, kept, strict=True)
        ]
        table.add_row(f'{tasks[i]} -> {tasks[j]}', *cells, '✓' if kept[0] == kept[1] else '✗')
    console.print(table)
    console.print(
        f'The masks agree on {agreement.same} of {agreement.pairs} relations '
        f'({agreement.share:.0%}); rank correlation of the values '
        f'{agreement.rank_correlation:+.2f}'
    )
    return agreement


def _threshold(file: Path) -> float:
    threshold = mmengine.load(file, file_format='json').get('threshold')
    return DEFAULT if threshold is None else float(threshold)
