"""``delta_m`` of several methods, with a point for each seed and a line at the mean."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .cells import FAINT, INK, RIGHT, STRONG, WRONG
from .sheet import Sheet

# Inches.
WIDTH, ROW, HEAD, FOOT, MARGIN, LETTER, NUMBER = 8.0, 0.27, 0.72, 0.62, 0.3, 0.082, 1.25
TITLE = 'Mean improvement over the single-task networks'
NOTE = 'a point a seed, a line at the mean; dashed: the single-task networks'
LEAST = 1.0  # percent, of the axis


def draw_comparison(
    values: Mapping[str, Sequence[float]], notes: Mapping[str, str] | None = None, title: str = ''
) -> Figure:
    """Draw a row for each method, from top to bottom.

    Args:
        values: ``delta_m`` in percent of each seed, by method; empty where there is none.
        notes: What is said at the right of a method, such as ``'diverged'``.
        title: Title of the picture.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.

    Raises:
        ValueError: If there is no method.
    """
    if not values:
        raise ValueError('there is no method to draw')
    notes = notes or {}
    count = len(values)
    left = MARGIN + LETTER * max(map(len, values)) + 0.1
    right = NUMBER + LETTER * max([0, *(len(note) for note in notes.values())])
    width, height = max(WIDTH, left + right + 4), HEAD + ROW * count + FOOT
    sheet = Sheet(width, height)
    axes = sheet.place(left, HEAD, width - left - right, ROW * count)
    every = [value for of in values.values() for value in of]
    low, high = min([0.0, *every]), max([0.0, *every])
    room = 0.04 * max(high - low, LEAST)
    axes.set(xlim=(low - room, high + room), ylim=(count - 0.5, -0.5))
    axes.axvline(0, color=INK, linewidth=1, linestyle='--', zorder=1)
    for row, (name, of) in enumerate(values.items()):
        if row % 2:
            axes.axhspan(row - 0.5, row + 0.5, color='#f4f6f8', zorder=0)
        text = notes.get(name, '')
        if len(of):
            middle = float(np.mean(of))
            axes.plot(
                of, np.full(len(of), row), 'o', color=STRONG, alpha=0.55, markersize=6,
                markeredgewidth=0, zorder=3,
            )  # fmt: skip
            axes.plot([middle] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=2, zorder=4)
            shown = round(middle, 2) or 0.0  # not -0
            color = RIGHT if shown > 0 else WRONG if shown < 0 else INK
            number = f'{shown:+.2f}'.replace('-', '−')
            axes.annotate(
                number, (1, row), (38, 0), ('axes fraction', 'data'), 'offset points',
                ha='right', va='center', fontsize=9.5, color=color,
            )  # fmt: skip
        axes.annotate(
            text, (1, row), (48, 0), ('axes fraction', 'data'), 'offset points',
            va='center', fontsize=9, color=FAINT,
        )  # fmt: skip
    axes.set_yticks(range(count), list(values), fontsize=10, color=INK)
    axes.set_xlabel('delta_m (%)', fontsize=9.5, color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.tick_params(axis='x', labelsize=8.5, colors=INK)
    axes.tick_params(length=0)
    axes.grid(axis='x', color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    sheet.write(MARGIN, 0.26, title or TITLE, fontsize=13, fontweight='bold')
    sheet.write(MARGIN, 0.53, NOTE, fontsize=9, color=FAINT)
    return sheet
