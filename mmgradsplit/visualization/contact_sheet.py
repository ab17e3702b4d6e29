"""Samples of a data set as the network gets them, with their labels drawn in."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .cells import (
    FAINT,
    LEGEND_CELL,
    Cell,
    draw_boxes,
    draw_keypoints,
    draw_labels,
    draw_legend,
    draw_normals,
    draw_values,
    image_cell,
)
from .sheet import Sheet

# Inches.
ROW, HEAD, MARGIN, GAP, LINE, WIDEST, NARROWEST = 1.9, 0.5, 0.25, 0.08, 0.14, 13.0, 1.25
BETWEEN = 0.22
LETTERS = 13.5  # an inch
LINES = 5
NAMED = 9
IGNORED, IGNORED_COLOUR = 255, (225, 225, 225)
# Background, and colours of instances that are told apart side by side.
INSTANCES = np.vstack(
    [np.zeros((1, 3)), *[255 * matplotlib.colormaps['tab10'](range(10))[:, :3]] * 20]
).tolist()
MAPS = dict(gt_depth_map='depth', gt_disparity_map='disparity')


@dataclass(frozen=True)
class _Block:
    """One sample: its pictures in a row, and lines of text below them."""

    cells: list[Cell]
    lines: list[str]

    @property
    def widths(self) -> list[float]:
        return [ROW * cell.width for cell in self.cells]

    @property
    def width(self) -> float:
        return max(sum(self.widths) + GAP * (len(self.cells) - 1), NARROWEST)

    @property
    def captioned(self) -> bool:
        """Whether the range of a map of numbers stands right below it."""
        return any(cell.title == 'values' for cell in self.cells)

    @property
    def height(self) -> float:
        return ROW + LINE * (len(self.lines) + 1 + self.captioned)


def draw_contact_sheet(
    samples: Sequence[Mapping[str, Any]], meta: Mapping[str, Any], title: str
) -> Figure:
    """Draw samples, each with all that is annotated of it.

    Args:
        samples: What the last transform of the data set's pipeline gets of each: ``img``, shape
            [H x W x 3], BGR, and the annotations.
        meta: Meta information of the data set: names of classes, palette, skeleton.
        title: Title of the sheet.

    Returns:
        The figure, for :func:`~mmgradsplit.visualization.save_figure`.
    """
    blocks = [_block(sample, meta) for sample in samples]
    rows: list[list[_Block]] = [[]]
    for block in blocks:
        taken = sum(other.width + BETWEEN for other in rows[-1])
        if rows[-1] and taken + block.width > WIDEST:
            rows.append([])
        rows[-1].append(block)
    width = max(sum(b.width + BETWEEN for b in row) for row in rows) + 2 * MARGIN
    heights = [max((block.height for block in row), default=0) for row in rows]
    sheet = Sheet(max(width, len(title) / 9), HEAD + sum(heights) + MARGIN)
    sheet.write(MARGIN, HEAD * 0.5, title, fontsize=12, fontweight='bold')
    top = HEAD
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for block in row:
            _draw(sheet, block, left, top)
            left += block.width + BETWEEN
        top += height
    return sheet


def _draw(sheet: Sheet, block: _Block, left: float, top: float) -> None:
    place = left
    for cell, width in zip(block.cells, block.widths, strict=True):
        cell.draw(sheet.place(place, top, width, ROW))
        place += width + GAP
    below = top + ROW + LINE * (0.7 + block.captioned)
    for number, line in enumerate(block.lines):
        style: dict[str, Any] = dict(color=FAINT) if number == 0 else {}
        sheet.write(left, below + number * LINE, line, fontsize=7, **style)


def _block(sample: Mapping[str, Any], meta: Mapping[str, Any]) -> _Block:
    image = np.asarray(sample['img'])
    if image.dtype != np.uint8:
        image = np.clip(image, 0, 255).astype(np.uint8)
    rgb = np.ascontiguousarray(image[..., ::-1])
    aspect = rgb.shape[1] / rgb.shape[0]
    cells = _placed_cells(sample, rgb, meta, aspect) or [image_cell('', rgb)]
    cells += _map_cells(sample, rgb, meta, aspect)
    width = max(sum(ROW * cell.width for cell in cells), NARROWEST)
    return _Block(cells, _lines(sample, meta, int(width * LETTERS)))


def _placed_cells(
    sample: Mapping[str, Any], rgb: np.ndarray, meta: Mapping[str, Any], aspect: float
) -> list[Cell]:
    """Keypoints, and boxes, over the image."""
    cells = []
    points = sample.get('transformed_keypoints')
    if points is not None:
        visible = np.asarray(sample.get('keypoints_visible', np.ones(points.shape[:2])))
        visible = visible[..., 0] if visible.ndim == 3 else visible
        people = SimpleNamespace(keypoints=points, keypoint_scores=visible)
        draw = partial(draw_keypoints, image=rgb, instances=people, meta=meta)
        cells.append(Cell('keypoints', aspect, draw))
    boxes = sample.get('gt_bboxes')
    if boxes is not None:
        boxes = getattr(boxes, 'tensor', boxes)
        of = SimpleNamespace(bboxes=boxes, labels=np.asarray(sample['gt_bboxes_labels']))
        draw = partial(draw_boxes, image=rgb, instances=of, meta=meta)
        cells.append(Cell('boxes', aspect, draw))
    return cells


def _map_cells(
    sample: Mapping[str, Any], rgb: np.ndarray, meta: Mapping[str, Any], aspect: float
) -> list[Cell]:
    cells = []
    if 'gt_masks' in sample:
        labels = _instances(sample['gt_masks'], rgb.shape[:2])
        draw = partial(draw_labels, image=rgb, labels=labels, meta=dict(palette=INSTANCES))
        cells.append(Cell('masks', aspect, draw))
    if 'gt_seg_map' in sample:
        labels, named = _with_ignored(_fitted(np.asarray(sample['gt_seg_map']), rgb), meta)
        cells += [
            Cell('labels', aspect, partial(draw_labels, image=rgb, labels=labels, meta=named)),
            Cell(
                '', LEGEND_CELL * 1.5, partial(draw_legend, labels=labels, meta=named, most=NAMED)
            ),
        ]
    for name in MAPS:
        if name in sample:
            values = _fitted(np.asarray(sample[name]), rgb)
            cells.append(Cell('values', aspect, partial(draw_values, values=values)))
    if 'gt_normal_map' in sample:
        normals = np.nan_to_num(_fitted(np.asarray(sample['gt_normal_map']), rgb))
        normals = normals.transpose(2, 0, 1)
        cells.append(Cell('normals', aspect, partial(draw_normals, normals=normals)))
    return cells


def _instances(masks: Any, shape: tuple[int, int]) -> np.ndarray:
    """Masks of mmdet as one label map, a number for each instance, 0 where there is none."""
    labels = np.zeros(shape, dtype=np.int64)
    for number, mask in enumerate(masks.to_ndarray(), start=1):
        labels[mask[: shape[0], : shape[1]] > 0] = number
    return labels


def _fitted(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A map in the size of its image: validation compares at the size of the file."""
    height, width = image.shape[:2]
    if values.shape[:2] == (height, width):
        return values
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST))


def _with_ignored(
    labels: np.ndarray, meta: Mapping[str, Any]
) -> tuple[np.ndarray, Mapping[str, Any]]:
    """A label map whose ignored pixels are a class of their own, light grey, and its names."""
    palette = list(meta.get('palette') or ())
    names = list(meta.get('classes') or ())
    if not palette or len(palette) != len(names):
        return np.where(labels == IGNORED, 0, labels).astype(np.int64), meta
    changed = np.where(labels == IGNORED, len(names), labels).astype(np.int64)
    return changed, dict(meta, palette=[*palette, IGNORED_COLOUR], classes=[*names, 'ignored'])


def _lines(sample: Mapping[str, Any], meta: Mapping[str, Any], letters: int) -> list[str]:
    """The file, and what is said of the whole image, in lines of a width."""
    name = Path(str(sample.get('img_path', ''))).name
    lines = [name if len(name) <= letters else f'…{name[1 - letters :]}']
    names = list(meta.get('classes') or ())
    said = []
    label = sample.get('gt_label')
    if 'person_id' in sample:
        said.append(f'person {sample["person_id"]}, camera {sample.get("camera_id")}')
    elif label is not None:
        of = [int(each) for each in np.atleast_1d(label)]
        said.append(', '.join(str(names[i]) if i < len(names) else f'class {i}' for i in of))
    for text in said:
        lines += textwrap.wrap(text or 'none', letters, max_lines=LINES, placeholder=' …')
    return lines
