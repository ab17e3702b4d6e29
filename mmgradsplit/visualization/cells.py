"""What one task predicts of an image, drawn into one cell of a panel."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import Normal, Stroke

from .appearance import class_names, class_palette, given_colours, to_numpy

INK, FAINT = '#22303c', '#8a97a3'
STRONG, WEAK, RIGHT, WRONG = '#2f7fc1', '#c3d5e5', '#1f9d55', '#d64545'
MIN_BARS, MAX_BARS, ROWS = 3, 12, 8
LETTER = 0.08
BAR_CELL, LEGEND_CELL = 0.5, 0.36
SCORE_THRESHOLD = 0.5
JOINT_THRESHOLD = 0.1
BOX_THRESHOLD = 0.3
SMALLEST_PART = 0.002
WIDEST = 4.0


@dataclass(frozen=True)
class Cell:
    """One cell of a panel.

    Attributes:
        title: Its heading.
        width: Its width in units of the row's height.
        draw: Draws it into axes.
        labels: Room for the labels to the left of its axes, in inches.
    """

    title: str
    width: float
    draw: Callable[[Axes], None]
    labels: float = 0.0


def image_cell(title: str, image: np.ndarray) -> Cell:
    """An image, shape [H x W x 3], RGB, as it is."""
    return Cell(title, _aspect(image), partial(show_image, image=image))


def task_cells(
    task: str, sample: Any, image: np.ndarray, meta: Mapping[str, Any], truth: Collection[int]
) -> list[Cell]:
    """The cells of one task, chosen by what its data sample holds.

    Args:
        task: Its name.
        sample: The data sample that its toolbox predicted.
        image: shape [H x W x 3], RGB.
        meta: Meta information of the task's data set: ``classes``, ``palette``, ``skeleton_links``,
            … as far as known.
        truth: Indices of the true classes, for scores; empty if unknown.

    Returns:
        Cells of scores, keypoints, a label map, depth, normals or boxes; none for another kind of
        prediction, such as an embedding.
    """
    instances = sample.get('pred_instances')
    if 'pred_score' in sample:
        scores = to_numpy(sample.pred_score)
        draw = partial(draw_scores, scores=scores, meta=meta, truth=truth)
        longest = max(map(len, class_names(meta, len(scores))))
        return [Cell(task, BAR_CELL, draw, labels=LETTER * (longest + 3))]
    if instances is not None and 'keypoints' in instances:
        draw = partial(draw_keypoints, image=image, instances=instances, meta=meta)
        return [Cell(task, _aspect(image), draw)]
    if 'pred_sem_seg' in sample:
        labels = to_numpy(sample.pred_sem_seg.data)[0]
        return [
            Cell(task, _aspect(image), partial(draw_labels, image=image, labels=labels, meta=meta)),
            Cell('', LEGEND_CELL, partial(draw_legend, labels=labels, meta=meta)),
        ]
    maps = [name for name in ('pred_depth_map', 'pred_disparity_map') if name in sample]
    if maps:
        values = to_numpy(sample.get(maps[0]).data)[0]
        return [Cell(task, _aspect(values), partial(draw_values, values=values))]
    if 'pred_normal_map' in sample:
        normals = to_numpy(sample.pred_normal_map.data)
        return [Cell(task, _aspect(image), partial(draw_normals, normals=normals))]
    if instances is not None and 'bboxes' in instances:
        draw = partial(draw_boxes, image=image, instances=instances, meta=meta)
        return [Cell(task, _aspect(image), draw)]
    return []


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Show an image, shape [H x W x 3], RGB, without ticks; coordinates are its pixels."""
    height, width = image.shape[:2]
    axes.imshow(image, interpolation='bicubic', extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.spines[:].set_edgecolor(FAINT)


def draw_scores(
    axes: Axes, scores: np.ndarray, meta: Mapping[str, Any], truth: Collection[int] = ()
) -> None:
    """Class scores, shape [C], as horizontal bars, sorted: what is predicted, and what is true.

    Args:
        axes: Where to draw.
        scores: shape [C].
        meta: ``classes``, their names, and ``exclusive``, groups of which at most one is true.
        truth: Indices of the true classes; empty if unknown.
    """
    names = class_names(meta, len(scores))
    named = named_classes(scores, names, meta.get('exclusive') or ())
    # The true classes have their place even where their scores are low.
    shown = sorted({*named[: max(MAX_BARS - len(truth), 0)], *truth}, key=lambda i: -scores[i])
    for row, i in enumerate(shown):
        axes.barh(row, 1, height=0.72, color='#f1f4f7')
        color = STRONG if i in named and scores[i] >= SCORE_THRESHOLD else WEAK
        axes.barh(row, scores[i], height=0.72, color=color)
        axes.text(1.03, row, f'{scores[i]:.2f}', va='center', fontsize=8, color=INK)
    if len(truth):
        axes.set_xlabel('✓ true', color=RIGHT, fontsize=9)
    axes.axvline(SCORE_THRESHOLD, color=FAINT, linewidth=0.8, linestyle=':')
    axes.set(xlim=(0, 1), ylim=(max(len(shown), ROWS) - 0.5, -0.5), xticks=[])
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels([f'{names[i]} ✓' if i in truth else names[i] for i in shown], fontsize=9)
    for label, i in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color(RIGHT if i in truth else INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def named_classes(
    scores: np.ndarray, names: Sequence[str], exclusive: Sequence[Collection[str]] = ()
) -> list[int]:
    """Choose the classes that a panel names.

    Args:
        scores: shape [C].
        names: Names of the C classes.
        exclusive: Groups of names of which at most one is true.

    Returns:
        Indices, the highest score first: those that reach the threshold, or else the best three,
        and of each group the best alone.
    """
    ranked = np.argsort(-scores, kind='stable').tolist()
    beaten = {i for group in exclusive for i in [i for i in ranked if names[i] in group][1:]}
    left = [i for i in ranked if i not in beaten]
    reached = sum(scores[i] >= SCORE_THRESHOLD for i in left)
    return left[: min(max(reached, MIN_BARS), MAX_BARS)]


def draw_keypoints(axes: Axes, image: np.ndarray, instances: Any, meta: Mapping[str, Any]) -> None:
    """Skeletons over the image; unsure joints are pale, very unsure ones left out.

    Args:
        axes: Where to draw.
        image: shape [H x W x 3], RGB.
        instances: ``keypoints``, shape [N x K x 2], and ``keypoint_scores``, shape [N x K].
        meta: ``skeleton_links``, and colours of links and keypoints, as mmpose parses them.
    """
    show_image(axes, _faded(image, 0.25))
    links = meta.get('skeleton_links', ())
    link_colors = given_colours(meta.get('skeleton_link_colors'), len(links)) / 255
    all_points, all_scores = to_numpy(instances.keypoints), to_numpy(instances.keypoint_scores)
    colors = given_colours(meta.get('keypoint_colors'), all_points.shape[1]) / 255
    outline = [Stroke(linewidth=5, foreground='white', alpha=0.8), Normal()]
    for points, scores in zip(all_points, all_scores, strict=True):
        alphas = np.where(scores >= JOINT_THRESHOLD, np.clip(2 * scores, 0.35, 1), 0)
        for (a, b), color in zip(links, link_colors, strict=True):
            if min(alphas[a], alphas[b]) > 0:
                x, y = points[[a, b], :2].T
                (line,) = axes.plot(x, y, color=color, linewidth=3, alpha=min(alphas[a], alphas[b]))
                line.set_path_effects(outline)
        for point, color, alpha in zip(points, colors, alphas, strict=True):
            if alpha > 0:
                axes.plot(
                    *point[:2], 'o', color=color, alpha=alpha, markersize=6,
                    markeredgecolor='white', zorder=3,
                )  # fmt: skip


def draw_labels(axes: Axes, image: np.ndarray, labels: np.ndarray, meta: Mapping[str, Any]) -> None:
    """A label map, shape [H x W], over the image, shape [H x W x 3], RGB; background is clear."""
    palette = class_palette(meta, int(labels.max()) + 1)
    gray = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    background = _faded(gray, 0.35)
    foreground = 0.3 * gray + 0.7 * palette[labels]
    clear = np.isin(labels, _background(meta))[..., None]
    mixed = np.where(clear, background, foreground)
    show_image(axes, mixed.astype(np.uint8))


def draw_legend(
    axes: Axes, labels: np.ndarray, meta: Mapping[str, Any], most: int | None = None
) -> None:
    """The names and colours of the labels, shape [H x W], that cover a visible area.

    Args:
        axes: Where to draw.
        labels: shape [H x W].
        meta: ``classes`` and ``palette``.
        most: How many there is room for, the largest first.
    """
    axes.set_axis_off()
    counts = np.bincount(labels.ravel(), minlength=1)
    counts[[i for i in _background(meta) if i < len(counts)]] = 0
    shown = [i for i in np.argsort(-counts) if counts[i] > SMALLEST_PART * labels.size][:most]
    names, palette = class_names(meta, len(counts)), class_palette(meta, len(counts)) / 255
    patches = [Patch(color=palette[i], label=names[i]) for i in shown]
    if patches:
        axes.legend(
            handles=patches, loc='upper left', frameon=False, fontsize=9, handlelength=1,
            handleheight=1, borderaxespad=0, labelcolor=INK,
        )  # fmt: skip


def draw_values(axes: Axes, values: np.ndarray) -> None:
    """A map of numbers, shape [H x W], dark where small and light where large; NaN is black."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    shares = (values - low) / max(high - low, 1e-9)
    show_image(axes, matplotlib.colormaps['viridis'](shares)[..., :3])
    axes.set_xlabel(f'{low:.2f} to {high:.2f}', fontsize=8.5, color=INK)


def draw_normals(axes: Axes, normals: np.ndarray) -> None:
    """Unit vectors, shape [3 x H x W], as colours: red right, green up, blue to the camera."""
    show_image(axes, (normals.transpose(1, 2, 0) + 1) / 2)


def draw_boxes(axes: Axes, image: np.ndarray, instances: Any, meta: Mapping[str, Any]) -> None:
    """Boxes, shape [N x 4] as x1, y1, x2, y2, with labels and, where there are, scores."""
    show_image(axes, image)
    boxes, labels = to_numpy(instances.bboxes), to_numpy(instances.labels)
    scored = hasattr(instances, 'scores')
    scores = to_numpy(instances.scores) if scored else np.ones(len(boxes))
    count = int(labels.max(initial=-1)) + 1
    names, palette = class_names(meta, count), class_palette(meta, count) / 255
    for (x1, y1, x2, y2), score, label in zip(boxes, scores, labels, strict=True):
        if score >= BOX_THRESHOLD:
            color = palette[label]
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, lw=2))
            axes.text(
                x1, y1, names[label] + (f' {score:.2f}' if scored else ''),
                fontsize=8, color='white', va='bottom',
                bbox=dict(facecolor=color, edgecolor='none', pad=1),
            )  # fmt: skip


def _aspect(image: np.ndarray) -> float:
    """Width by height of an image's cell; a strip becomes a line in it, not a sheet of metres."""
    return min(image.shape[1] / image.shape[0], WIDEST)


def _faded(image: np.ndarray, share: float) -> np.ndarray:
    """``image`` with this share of white."""
    return (image * (1 - share) + 255 * share).astype(np.uint8)


def _background(meta: Mapping[str, Any]) -> list[int]:
    """The classes that mean that there is nothing: those that are black in the data set's palette.

    Without a palette it is class 0.
    """
    palette = meta.get('palette')
    if palette is None or not len(palette):
        return [0]
    return [i for i, colour in enumerate(palette) if not any(colour)]
