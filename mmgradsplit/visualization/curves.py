"""Losses, metrics and weights of several runs over the iterations, as small multiples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .cells import FAINT, INK
from .sheet import Sheet

# Told apart by those who do not see red and green as different, too.
COLOURS = ('#2f7fc1', '#e0862f', '#1f9d77', '#c05aa0', '#8a6d3b', '#6f62c9', '#d64545', '#4b5b66')
STYLES = ('-', '--', ':')
# Inches.
WIDTH, HEIGHT, LEGEND_LINE = 3.2, 2.3, 0.24
COLUMNS = 4
# Larger values are not drawn: those of all other runs would be a line at the bottom.
BEYOND = 1e30


@dataclass(frozen=True)
class Plot:
    """One of the small multiples.

    Attributes:
        title: What is drawn.
        lines: By name of a row, one line a run (a seed): values by iteration.
        log: Whether the values have a logarithmic axis (where all are positive).
    """

    title: str
    lines: Mapping[str, Sequence[Mapping[int, float]]]
    log: bool = False


def draw_curves(blocks: Sequence[Sequence[Plot]]) -> Figure:
    """Draw plots beside each other; the lines of one name have one colour.

    Args:
        blocks: Plots; those of a block begin a new line.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.

    Raises:
        ValueError: If there is no plot.
    """
    plots = [plot for block in blocks for plot in block]
    if not plots:
        raise ValueError('there is no loss and no metric to draw')
    names = list(dict.fromkeys(name for plot in plots for name in plot.lines))
    styles: dict[str, dict[str, Any]] = {
        name: dict(color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i // len(COLOURS) % 3])
        for i, name in enumerate(names)
    }
    end = max(
        (x for p in plots for runs in p.lines.values() for run in runs for x in run), default=1
    )
    columns = min(COLUMNS, max(map(len, blocks)))
    grid = [block[i : i + columns] for block in blocks for i in range(0, len(block), columns)]
    width = columns * WIDTH + 0.3
    across = max(1, int((width - 0.4) / (0.65 + 0.085 * max(map(len, names)))))
    top = 0.3 + LEGEND_LINE * -(-len(names) // across)
    height = len(grid) * HEIGHT + top + 0.15
    sheet = Sheet(width, height)
    for row, line in enumerate(grid):
        for column, plot in enumerate(line):
            left, bottom = column * WIDTH + 0.65, height - top - (row + 1) * HEIGHT + 0.4
            axes = sheet.add_axes(
                (left / width, bottom / height, (WIDTH - 0.65) / width, (HEIGHT - 0.75) / height)
            )
            _draw(axes, plot, styles, end)
            if row == len(grid) - 1:
                axes.set_xlabel('iteration', fontsize=9, color=FAINT)
    legend = sheet.legend(
        # matplotlib leaves names out that begin with an underscore.
        handles=[Line2D([], [], linewidth=2, label=f' {name}', **styles[name]) for name in names],
        loc='upper left', bbox_to_anchor=(0.25 / width, 1 - 0.08 / height), ncols=across,
        frameon=False, fontsize=9.5, labelcolor=INK, borderaxespad=0,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return sheet


def _draw(axes: Axes, plot: Plot, styles: Mapping[str, dict[str, Any]], end: int) -> None:
    """Draw one plot, up to iteration ``end``."""
    drawn = []
    for name, runs in plot.lines.items():
        for run in runs:
            values = np.array(list(run.values()), float)
            values[np.abs(values) > BEYOND] = np.nan
            drawn.append(values)
            # Few points, as of validations, are marked: the line between them is not measured.
            marker = 'o' if len(values) < 12 else None
            thin = 1.6 if len(runs) == 1 else 1.1
            axes.plot(
                list(run), values, linewidth=thin, marker=marker, markersize=3.5, **styles[name]
            )
    if plot.log and drawn and (np.concatenate(drawn) > 0).all():
        axes.set_yscale('log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(
        plot.title, fontsize=10.5, fontweight='bold', color=INK, loc='left', parse_math=False
    )
    axes.set_xlim(-0.03 * end, 1.03 * end)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    axes.grid(color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[:].set_color(FAINT)
