"""One picture of all that the network says about an image."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .cells import FAINT, INK, RIGHT, WRONG, Cell, image_cell, show_image, task_cells
from .sheet import Sheet

# Inches.
ROW, STRIP, HEAD, CAPTION, MARGIN, GAP = 4.0, 1.7, 0.45, 0.32, 0.3, 0.25
NARROWEST = 0.45


@dataclass(frozen=True)
class Neighbour:
    """A gallery image near the query.

    Attributes:
        image: shape [H x W x 3], BGR, uint8.
        distance: Its distance to the query.
        same: Whether it shows the query's identity; None if unknown.
    """

    image: np.ndarray
    distance: float
    same: bool | None = None


def draw_panel(
    image: np.ndarray,
    predictions: Mapping[str, Any],
    metas: Mapping[str, Mapping[str, Any]],
    *,
    truth: Mapping[str, Collection[int]] | None = None,
    neighbours: Sequence[Neighbour] = (),
    title: str = '',
) -> Figure:
    """Draw an image, what each task predicts of it, and its nearest gallery neighbours.

    Args:
        image: shape [H x W x 3], BGR, uint8.
        predictions: Each task's data sample, as
            :func:`~mmgradsplit.visualization.predict_image` returns them. A prediction that has no
            picture, such as an embedding, is left out.
        metas: Meta information of each task's data set: names of classes, palette, skeleton. What
            is missing is drawn without names.
        truth: Indices of the true classes by task, where known.
        neighbours: The nearest first.
        title: Title of the picture.

    Returns:
        The figure, for :func:`save_figure`.
    """
    rgb = np.ascontiguousarray(image[..., ::-1])
    cells = [image_cell('input', rgb)]
    for task, sample in predictions.items():
        known = (truth or {}).get(task, ())
        cells += task_cells(task, sample, rgb, metas.get(task) or {}, known)

    widths = [ROW * max(cell.width, NARROWEST if cell.title else 0) for cell in cells]
    lefts = _left_edges(cells, widths)
    width = max(lefts[-1] + widths[-1] + MARGIN, 2 * MARGIN + len(neighbours) * (STRIP / 2 + 0.18))
    strip = STRIP + 2 * CAPTION if neighbours else 0
    height = HEAD + CAPTION + ROW + MARGIN + strip
    sheet = Sheet(width, height)
    sheet.write(MARGIN, HEAD * 0.6, title, fontsize=13, fontweight='bold')
    for cell, left, wide in zip(cells, lefts, widths, strict=True):
        cell.draw(sheet.place(left, HEAD + CAPTION, wide, ROW))
        sheet.write(left, HEAD + CAPTION / 2, cell.title, fontsize=11, fontweight='bold')

    if neighbours:
        top = HEAD + CAPTION + ROW + MARGIN
        sheet.write(MARGIN, top, 'nearest in the gallery', fontsize=11, fontweight='bold')
        if any(neighbour.same is not None for neighbour in neighbours):
            sheet.write(MARGIN + 2.0, top, 'same person', fontsize=10, color=RIGHT)
            sheet.write(MARGIN + 3.1, top, 'another person', fontsize=10, color=WRONG)
        share = (width - 2 * MARGIN) / len(neighbours)
        for i, neighbour in enumerate(neighbours):
            crop = neighbour.image
            wide = min(STRIP * crop.shape[1] / crop.shape[0], share - 0.15)
            axes = sheet.place(MARGIN + i * share, top + CAPTION / 2, wide, STRIP)
            show_image(axes, crop[..., ::-1])
            color = {True: RIGHT, False: WRONG, None: FAINT}[neighbour.same]
            axes.spines[:].set(edgecolor=color, linewidth=4)
            axes.set_xlabel(f'{neighbour.distance:.3f}', fontsize=9, color=INK, labelpad=5)
    return sheet


def _left_edges(cells: Sequence[Cell], widths: Sequence[float]) -> list[float]:
    """Left edge of each cell in inches; bars have their labels on the left, a legend is close."""
    edges: list[float] = []
    right = MARGIN
    for cell, width in zip(cells, widths, strict=True):
        # Before the first cell, there is the margin already.
        gap = (GAP if cell.title else GAP / 2) if edges else 0.0
        edges.append(right + gap + cell.labels)
        # The bars' values stand on their right.
        right = edges[-1] + width + (GAP if cell.labels else 0.0)
    return edges


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, making its folder.

    Args:
        figure: The figure.
        path: File to write.

    Returns:
        ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor='white')
    return path
