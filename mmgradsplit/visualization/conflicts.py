"""Conflict frequencies of task gradients as heat maps, layer by layer (GradSplit, Figure 3)."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .cells import FAINT, INK
from .sheet import Sheet, draw_square

# Inches.
SQUARE, HEAD, FOOT, MARGIN, GAP, LETTER = 0.62, 0.5, 0.35, 0.3, 0.3, 0.085
NARROWEST = 5.4  # for the note


def draw_conflicts(
    rows: Mapping[str, Mapping[str, Mapping]], tasks: Sequence[str], title: str = ''
) -> Figure:
    """Draw a row of maps for each network, with a map for each module.

    Args:
        rows: By the row's name and the module's a mapping with ``frequency``, shape [T x T], the
            share of batches in which the gradients of two tasks have a negative cosine. All rows
            have the same modules.
        tasks: Names of the tasks, T of them.
        title: Title of the picture.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.

    Raises:
        ValueError: If there is no row, rows differ in their modules, or a shape does not fit.
    """
    modules = _modules(rows)
    side, labels = len(tasks) * SQUARE, LETTER * max(map(len, tasks)) + 0.1
    left, top = MARGIN + labels, HEAD + 0.3
    width = left + len(modules) * (side + GAP) - GAP + MARGIN
    row_height = 0.35 + side
    height = top + len(rows) * (row_height + GAP) - GAP + labels + FOOT
    width = max(width, NARROWEST)
    sheet = Sheet(width, height)
    heading = title or 'Conflict frequency of task gradients'
    sheet.write(MARGIN, HEAD * 0.6, heading, fontsize=13, fontweight='bold')
    for j, module in enumerate(modules):
        middle = left + j * (side + GAP) + side / 2
        sheet.write(middle, HEAD + 0.15, module, fontsize=11, ha='center')
    for i, (name, of) in enumerate(rows.items()):
        y = top + i * (row_height + GAP)
        sheet.write(left, y + 0.12, name, fontsize=11, fontweight='bold')
        for j, module in enumerate(modules):
            axes = sheet.place(left + j * (side + GAP), y + row_height - side, side, side)
            _draw_map(axes, _checked(of[module]['frequency'], tasks, f'{name}, {module}'))
            axes.set_yticks(range(len(tasks)), tasks if j == 0 else [], fontsize=9.5, color=INK)
            last = i == len(rows) - 1
            axes.set_xticks(range(len(tasks)), tasks if last else [], fontsize=9.5, color=INK)
            axes.tick_params(axis='x', rotation=90)
    note = 'share of batches with a negative cosine; gradients of random directions: 0.5'
    sheet.write(MARGIN, height - 0.16, note, fontsize=8.5, color=FAINT)
    return sheet


def _modules(rows: Mapping[str, Mapping[str, Mapping]]) -> list[str]:
    found = {tuple(of) for of in rows.values()}
    if len(found) != 1 or not all(found):
        raise ValueError(f'the rows of a picture must have the same modules, but have {found}')
    return list(found.pop())


def _checked(frequency: object, tasks: Sequence[str], place: str) -> NDArray[np.float64]:
    array = np.asarray(frequency, dtype=float)
    if array.shape != (len(tasks), len(tasks)):
        raise ValueError(
            f'{place}: the frequencies of the tasks {list(tasks)} must have the shape '
            f'{(len(tasks), len(tasks))}, but have {array.shape}'
        )
    return array


def _draw_map(axes: Axes, frequency: NDArray[np.float64]) -> None:
    """One map: red where conflicts are more frequent than chance, blue where they are rarer."""
    count = len(frequency)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row in range(count):
        for column in range(count):
            if row == column:
                draw_square(axes, column, row, '—', (0.93, 0.94, 0.95))
                continue
            value = frequency[row, column]
            # Not to the ends of the colour map, which are nearly black.
            colour = matplotlib.colormaps['RdBu_r'](0.5 + 0.8 * (value - 0.5))
            draw_square(axes, column, row, f'{value:.2f}', colour)
