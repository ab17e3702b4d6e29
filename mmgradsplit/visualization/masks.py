"""Relation masks at several thresholds side by side (GradSplit, Figure A-2)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .cells import FAINT, INK, STRONG, WEAK
from .sheet import Sheet, draw_square

# Inches.
SQUARE = 0.5
COLUMNS = 3


def draw_masks(masks: Mapping[float, NDArray[np.bool_]], tasks: Sequence[str]) -> Figure:
    """Draw a relation mask for each threshold, trained with (row), performance on (column).

    Args:
        masks: ``m[t, t']`` of shape [T x T] by threshold.
        tasks: Names of the tasks, T of them.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.

    Raises:
        ValueError: If a mask does not fit the tasks.
    """
    count = len(tasks)
    longest = 0.085 * max(map(len, tasks))
    side = count * SQUARE
    cell_width, cell_height = side + longest + 0.45, side + longest + 0.75
    columns = min(COLUMNS, len(masks))
    rows = -(-len(masks) // columns)
    width, height = columns * cell_width + 0.2, rows * cell_height + 0.45
    sheet = Sheet(width, height)
    for index, (threshold, mask) in enumerate(masks.items()):
        if np.shape(mask) != (count, count):
            raise ValueError(
                f'the mask of the {count} tasks {list(tasks)} must have the shape '
                f'{(count, count)}, but has {np.shape(mask)}'
            )
        row, column = divmod(index, columns)
        top = (row + 1) * cell_height - 0.1 - side
        axes = sheet.place(column * cell_width + longest + 0.3, top, side, side)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        axes.set_xticks(range(count), tasks, fontsize=9, color=INK, rotation=90)
        axes.set_yticks(range(count), tasks, fontsize=9, color=INK)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set_title(f'threshold {threshold:g}', fontsize=10.5, fontweight='bold', color=INK)
        axes.spines[:].set_visible(False)
        for i in range(count):
            for j in range(count):
                colour = STRONG if not mask[j, i] else '#eef1f3' if i == j else WEAK
                text = '—' if mask[j, i] else '↓'
                draw_square(axes, j, i, text, colour, size=0.9, fontsize=11, ink=FAINT)
    note = '↓ negative relation: trained with (row), performance on (column)'
    sheet.write(0.1, height - 0.18, note, fontsize=9, va='baseline')
    return sheet
