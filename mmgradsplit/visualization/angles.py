"""Histograms of gradient angles under several allocators (STA, Figures 1 and 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from .cells import FAINT, INK
from .curves import COLOURS
from .sheet import Sheet

# Inches.
WIDTH, HEIGHT, LEFT, HEAD, SECTION, MARGIN = 3.5, 2.25, 0.85, 0.5, 0.62, 0.3
NARROWEST = 2
COLUMNS = 4
BINS = 30
LEAST = 10.0  # degrees, of an axis
WAYS = dict(within='same batch', across='next batch')

# By the label of a histogram its angles and how it is drawn.
Panel = dict[str, tuple[NDArray[np.float64], dict[str, Any]]]


def draw_angles(
    found: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Mapping]]]], title: str = ''
) -> Figure:
    """Draw a section of panels for the pairs of tasks and one for successive steps.

    The allocators lie over each other in each panel. A dashed line marks 90 degrees; what is to
    the right of it conflicts.

    Args:
        found: By allocator, module, kind (``'tasks'``, ``'steps'``) and name (a pair of tasks;
            ``'within'``, ``'across'``) a mapping with ``angles`` in degrees, in which None is left
            out. All allocators have the same modules and names.
        title: Title of the picture.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.
    """
    sections = {
        'between tasks': _pairs(found),
        'between successive steps': _steps(found),
    }
    sections = {name: panels for name, panels in sections.items() if panels}
    columns = min(COLUMNS, max([NARROWEST, *map(len, sections.values())]))
    lines = {name: -(-len(panels) // columns) for name, panels in sections.items()}
    width = columns * WIDTH + MARGIN
    height = HEAD + sum(SECTION + HEIGHT * number for number in lines.values()) + 0.15
    sheet = Sheet(width, height)
    heading = title or 'Angles between gradients'
    sheet.write(MARGIN, HEAD * 0.6, heading, fontsize=13, fontweight='bold')
    if not sections:
        nothing = 'There is no angle, for every gradient is zero.'
        sheet.write(MARGIN, HEAD, nothing, fontsize=9.5)
    top = HEAD
    for name, panels in sections.items():
        sheet.write(MARGIN, top + 0.13, name, fontsize=11, fontweight='bold')
        styles = {label: style for of in panels.values() for label, (_, style) in of.items()}
        sheet.legend(
            handles=[Patch(label=label, **style) for label, style in styles.items()],
            loc='upper left', bbox_to_anchor=((MARGIN - 0.05) / width, 1 - (top + 0.26) / height),
            ncols=len(styles), frameon=False, fontsize=9.5, labelcolor=INK, borderaxespad=0,
            columnspacing=1.2, handlelength=1.4,
        )  # fmt: skip
        top += SECTION
        for number, (heading, panel) in enumerate(panels.items()):
            row, column = divmod(number, columns)
            place = (column * WIDTH + LEFT, top + row * HEIGHT + 0.3)
            _draw(sheet.place(*place, WIDTH - LEFT, HEIGHT - 0.8), panel, heading)
        top += HEIGHT * lines[name]
    return sheet


def _colours(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(found)}


def _values(of: Mapping) -> NDArray[np.float64]:
    return np.array([angle for angle in of['angles'] if angle is not None], dtype=float)


def _pairs(found: Mapping[str, Mapping]) -> dict[str, Panel]:
    """A panel for each module and pair of tasks."""
    panels: dict[str, Panel] = {}
    colours = _colours(found)
    modules = next(iter(found.values()))
    for module, kinds in modules.items():
        for pair in kinds['tasks']:
            heading = pair if len(modules) == 1 else f'{module}: {pair}'
            angles = {name: _values(of[module]['tasks'][pair]) for name, of in found.items()}
            panel = {n: (v, _filled(colours[n])) for n, v in angles.items() if len(v)}
            if panel:
                panels[heading] = panel
    return panels


def _steps(found: Mapping[str, Mapping]) -> dict[str, Panel]:
    """A panel for each module; of ISTA the steps on one batch, and those to the next batch."""
    panels: dict[str, Panel] = {}
    colours = _colours(found)
    for module in next(iter(found.values())):
        panel: Panel = {}
        for name, of in found.items():
            steps = {way: _values(kind) for way, kind in of[module]['steps'].items()}
            ways = {way: angles for way, angles in steps.items() if len(angles)}
            several = len(steps['within']) > 0
            for way, angles in ways.items():
                label = f'{name}, {WAYS[way]}' if several else name
                dashed = several and way == 'across'
                style = _outlined(colours[name]) if dashed else _filled(colours[name])
                panel[label] = angles, style
        if panel:
            panels[module] = panel
    return panels


def _filled(colour: str) -> dict[str, Any]:
    return dict(facecolor=(colour, 0.35), edgecolor=colour, linewidth=1.5)


def _outlined(colour: str) -> dict[str, Any]:
    return dict(facecolor='none', edgecolor=colour, linewidth=1.3, linestyle=':')


def _edges(angles: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Bounds of the bins around all angles; 90 degrees is one, so no bar lies on both sides."""
    values = np.concatenate([*angles, [90.0 - LEAST / 2, 90.0 + LEAST / 2]])
    width = np.ptp(values) / BINS
    below, above = np.ceil((90 - values.min()) / width), np.ceil((values.max() - 90) / width)
    return 90 + width * np.arange(-below, above + 1)


def _draw(axes: Axes, panel: Panel, heading: str) -> None:
    edges = _edges([angles for angles, _ in panel.values()])
    for angles, style in panel.values():
        shares = np.histogram(angles, edges)[0] / len(angles)
        axes.stairs(shares, edges, fill=True, **style)
    axes.axvline(90, color=INK, linewidth=1, linestyle='--', zorder=3)
    axes.set_title(heading, fontsize=10.5, color=INK, loc='left')
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel('angle in degrees', fontsize=9, color=FAINT)
    axes.set_ylabel('share of steps', fontsize=9, color=FAINT)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 3, 5, 10]))
    axes.tick_params(labelsize=8.5, colors=INK, length=0)
    axes.grid(axis='y', color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[:].set_color(FAINT)
