"""Conflict frequencies of task gradients as heat maps, layer by layer (GradSplit, Figure 3).

May import numpy and matplotlib's object interface (no global state).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from .cells import FAINT, INK

# Inches.
SQUARE, HEAD, FOOT, MARGIN, GAP, LETTER = 0.62, 0.5, 0.35, 0.3, 0.3, 0.085
NARROWEST = 5.4  # for the note


def draw_conflicts(
    rows: Mapping[str, Mapping[str, Mapping]], tasks: Sequence[str], title: str = ''
) -> Figure:
    """Draw a row of maps for each network, one map a module.

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
    figure = Figure(figsize=(width, height), facecolor='white')
    FigureCanvasAgg(figure)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / width, 1 - y / height, text, va='center', **style)

    write(MARGIN, HEAD * 0.6, title or 'Conflict frequency of task gradients',
          fontsize=13, fontweight='bold', color=INK)  # fmt: skip
    for j, module in enumerate(modules):
        write(left + j * (side + GAP) + side / 2, HEAD + 0.15, module, fontsize=11, ha='center',
              color=INK)  # fmt: skip
    for i, (name, of) in enumerate(rows.items()):
        y = top + i * (row_height + GAP)
        write(left, y + 0.12, name, fontsize=11, fontweight='bold', color=INK)
        for j, module in enumerate(modules):
            x = left + j * (side + GAP)
            axes = figure.add_axes(
                (x / width, 1 - (y + row_height) / height, side / width, side / height)
            )
            _draw_map(axes, _checked(of[module]['frequency'], tasks, f'{name}, {module}'))
            axes.set_yticks(range(len(tasks)), tasks if j == 0 else [], fontsize=9.5, color=INK)
            last = i == len(rows) - 1
            axes.set_xticks(range(len(tasks)), tasks if last else [], fontsize=9.5, color=INK)
            axes.tick_params(axis='x', rotation=90)
    note = 'share of batches with a negative cosine; gradients of random directions: 0.5'
    write(MARGIN, height - 0.16, note, fontsize=8.5, color=FAINT)
    return figure


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
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row in range(count):
        for column in range(count):
            value = frequency[row, column]
            # Not to the ends of the colour map, which are nearly black.
            color = np.array(matplotlib.colormaps['RdBu_r'](0.5 + 0.8 * (value - 0.5)))
            if row == column:
                color = np.array((0.93, 0.94, 0.95, 1.0))
            axes.add_patch(
                Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=color, linewidth=0)
            )
            axes.text(
                column, row, '—' if row == column else f'{value:.2f}',
                ha='center', va='center', fontsize=10,
                color='white' if color[:3] @ (0.3, 0.59, 0.11) < 0.5 else INK,
            )  # fmt: skip
