"""The relations between the tasks, and the relation mask, as a heat map (GradSplit, Figure A-2)."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .cells import FAINT, INK
from .sheet import Sheet, draw_square

# Inches.
SQUARE = 1.15
# Changes beyond this share of the largest are drawn in full colour, so that small ones differ.
LEAST_RANGE = 0.02


def draw_relations(
    mask: NDArray[np.bool_],
    tasks: Sequence[str],
    changes: NDArray[np.float64] | None = None,
    threshold: float | None = None,
    unsettled: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw the relation mask, laid out as Table A-1: trained with (row), performance on (column).

    Args:
        mask: shape [T x T], ``m[t, t']`` of Eq. a-1: whether the steps of t' may move the filter
            group of t.
        tasks: Names of the tasks, T of them.
        changes: shape [T x T]; row t', column t is ``A[t' -> t]``. Without it, the mask alone is
            drawn.
        threshold: The threshold of the mask.
        unsettled: shape [T x T], laid out as ``changes``: where repeated measurements do not settle
            on which side of the threshold the relation is; marked by a question mark.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.

    Raises:
        ValueError: If the shapes do not fit the tasks.
    """
    count = len(tasks)
    for name, matrix in (('mask', mask), ('changes', changes), ('unsettled', unsettled)):
        if matrix is not None and np.shape(matrix) != (count, count):
            raise ValueError(
                f'{name} of the {count} tasks {list(tasks)} must have the shape {(count, count)}, '
                f'but has {np.shape(matrix)}'
            )
    masked = ~np.asarray(mask, bool).T
    off_diagonal = ~np.eye(count, dtype=bool)
    longest = 0.09 * max(map(len, tasks))
    left, bottom, top = 0.75 + longest, 1.05, 1.75
    width, height = left + count * SQUARE + 0.35, bottom + count * SQUARE + top
    width = max(width, 5.6)
    sheet = Sheet(width, height)
    axes = sheet.place(left, top, count * SQUARE, count * SQUARE)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    axes.set_xticks(range(count), tasks, fontsize=11, color=INK)
    axes.set_yticks(range(count), tasks, fontsize=11, color=INK)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position('top')
    axes.set_xlabel('performance on', fontsize=11, color=FAINT, labelpad=8)
    axes.set_ylabel('trained with', fontsize=11, color=FAINT, labelpad=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)

    colors = _colors(changes, masked, off_diagonal)
    for row in range(count):
        for column in range(count):
            negative = bool(masked[row, column])
            text = '—' if row == column else _text(changes, row, column, negative)
            if unsettled is not None and unsettled[row, column]:
                text += ' ?'
            ink = draw_square(
                axes, column, row, text, colors[row, column], fontsize=12,
                edgecolor=INK, linewidth=2.2 if negative else 0,
            )  # fmt: skip
            if negative:
                axes.text(
                    column, row + 0.27, '✕ masked', ha='center', va='center', fontsize=8.5,
                    color=ink,
                )  # fmt: skip

    title = 'Relation mask' if threshold is None else f'Relation mask, threshold {threshold:g}'
    summary = f'{masked[off_diagonal].sum()} of {count * (count - 1)} relations are masked'
    note = (
        '✕ masked: a task step of the row’s task leaves\n'
        'the filter group of the column’s task as it is'
    )
    if unsettled is not None and unsettled.any():
        note += '\n?: the spread over the seeds leaves the side of the threshold open'
    sheet.write(0.35, 0.35, title, fontsize=14, fontweight='bold')
    sheet.write(0.35, 0.68, summary, fontsize=10.5)
    sheet.write(0.35, height - 0.5, note, fontsize=9.5, color=INK if masked.any() else FAINT)
    return sheet


def _text(changes: NDArray[np.float64] | None, row: int, column: int, negative: bool) -> str:
    if changes is None:
        return '0' if negative else '1'
    return f'{100 * changes[row, column]:+.2f}%'.replace('-', '−')


def _colors(
    changes: NDArray[np.float64] | None, masked: NDArray[np.bool_], off_diagonal: NDArray[np.bool_]
) -> np.ndarray:
    """Colours of the squares, shape [T x T x 4]: red for a loss, blue for a gain, grey for none."""
    if changes is None:
        values, limit = np.where(masked, -0.6, 0.6), 1.0
    else:
        values = np.asarray(changes, float)
        finite = np.abs(values[off_diagonal & np.isfinite(values)])
        # The upper quartile, for one large loss would leave all the others without colour.
        limit = max(LEAST_RANGE, float(np.quantile(finite, 0.75)) if finite.size else 0.0)
    norm = TwoSlopeNorm(0.0, -limit, limit)
    # Not to the ends of the colour map, which are nearly black.
    shades = 0.5 + 0.7 * (norm(np.clip(values, -limit, limit)) - 0.5)
    colors = matplotlib.colormaps['RdBu'](shades)
    colors[~off_diagonal] = (0.93, 0.94, 0.95, 1)
    return np.asarray(colors)
