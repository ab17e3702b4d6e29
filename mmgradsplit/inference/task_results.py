"""What one task says of a picture: a type for each kind of task, in the picture's pixels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from mmdet.structures.mask import encode_mask_results
from numpy.typing import NDArray

# Digits behind the point in JSON.
DIGITS = 4


@dataclass(frozen=True)
class TaskResult:
    """What one task says of a picture.

    Attributes:
        kind: Its name in files.
    """

    kind: ClassVar[str]

    def moved(self, x: int, y: int) -> TaskResult:
        """The same in a picture in which this one's upper left corner lies at (x, y)."""
        return self

    def as_json(self) -> dict[str, Any]:
        """What JSON can hold of it; maps are summed up, since they have files of their own."""
        raise NotImplementedError


@dataclass(frozen=True)
class PixelMap(TaskResult):
    """Something that is said of each pixel of a picture, or of a part of it.

    Attributes:
        origin: (x, y) of the map's upper left corner in the picture.
    """

    origin: tuple[int, int] = field(default=(0, 0), kw_only=True)

    def moved(self, x: int, y: int) -> PixelMap:
        """See :meth:`TaskResult.moved`."""
        return dataclasses.replace(self, origin=(self.origin[0] + x, self.origin[1] + y))


@dataclass(frozen=True)
class Scores(TaskResult):
    """A probability for each of some names.

    Attributes:
        names: C names.
        probabilities: shape [C].
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """Probability by name."""
        scores = dict(zip(self.names, _rounded(self.probabilities), strict=True))
        return dict(probabilities=scores)


class Attributes(Scores):
    """Attributes, each of which a picture has or has not."""

    kind = 'attributes'


class Classes(Scores):
    """Classes of which a picture has one."""

    kind = 'classes'

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.names[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return float(self.probabilities.max())

    def as_json(self) -> dict[str, Any]:
        """The most probable class, and the probability by name."""
        best = dict(name=self.name, probability=round(self.probability, DIGITS))
        return best | super().as_json()


@dataclass(frozen=True)
class Embedding(TaskResult):
    """An embedding, whose distances to others say who is alike.

    Attributes:
        vector: shape [D].
    """

    kind = 'embedding'
    vector: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """The whole vector."""
        return dict(vector=[float(f'{value:.6g}') for value in self.vector])


@dataclass(frozen=True)
class Keypoints(TaskResult):
    """Skeletons.

    Attributes:
        names: Names of the K keypoints.
        xy: shape [N x K x 2], indices of pixels.
        scores: shape [N x K].
        links: Pairs of keypoints that a line joins.
        colours: RGB of the keypoints, shape [K x 3].
        link_colours: RGB of the lines, shape [L x 3].
    """

    kind = 'keypoints'
    names: tuple[str, ...]
    xy: NDArray[np.float32]
    scores: NDArray[np.float32]
    links: tuple[tuple[int, int], ...] = ()
    colours: NDArray[np.uint8] | None = None
    link_colours: NDArray[np.uint8] | None = None

    def moved(self, x: int, y: int) -> Keypoints:
        """See :meth:`TaskResult.moved`."""
        return dataclasses.replace(self, xy=self.xy + np.array([x, y], np.float32))

    def as_json(self) -> dict[str, Any]:
        """For each skeleton, [x, y, score] by the keypoint's name."""
        skeletons = [
            {
                name: [round(float(value), 2) for value in point] + [round(float(score), DIGITS)]
                for name, point, score in zip(self.names, points, scores, strict=True)
            }
            for points, scores in zip(self.xy, self.scores, strict=True)
        ]
        return dict(skeletons=skeletons)


@dataclass(frozen=True)
class LabelMap(PixelMap):
    """A class for each pixel.

    Attributes:
        labels: shape [H x W], indices of classes.
        names: Names of the C classes.
        palette: shape [C x 3], RGB.
    """

    kind = 'labels'
    labels: NDArray[Any]
    names: tuple[str, ...]
    palette: NDArray[np.uint8]

    @property
    def background(self) -> list[int]:
        """The classes that mean that there is nothing: those that are black in the palette."""
        return np.flatnonzero(~self.palette.any(1)).tolist()

    def as_json(self) -> dict[str, Any]:
        """The number of pixels of each class that there is."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        pixels = {self.names[i]: int(counts[i]) for i in np.flatnonzero(counts)}
        return dict(origin=list(self.origin), size=list(self.labels.shape[::-1]), pixels=pixels)


@dataclass(frozen=True)
class Boxes(PixelMap):
    """Things with a box each, and perhaps a mask.

    Attributes:
        xyxy: shape [N x 4], edges: a pixel with index i reaches from i to i + 1.
        scores: shape [N].
        labels: shape [N], indices of classes.
        names: Names of the C classes.
        palette: shape [C x 3], RGB.
        masks: shape [N x H x W], bool, if the detector makes masks.
    """

    kind = 'boxes'
    xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    palette: NDArray[np.uint8]
    masks: NDArray[np.bool_] | None = None

    def moved(self, x: int, y: int) -> Boxes:
        """See :meth:`TaskResult.moved`."""
        xyxy = self.xyxy + np.array([x, y, x, y], np.float32)
        return dataclasses.replace(self, xyxy=xyxy, origin=super().moved(x, y).origin)

    def run_lengths(self) -> list[dict[str, Any]]:
        """The masks as COCO has them: run lengths, with text for bytes."""
        if self.masks is None:
            return []
        encoded = encode_mask_results(self.masks)
        return [dict(size=each['size'], counts=each['counts'].decode()) for each in encoded]

    def as_json(self) -> dict[str, Any]:
        """For each box its class, score, edges, and mask in COCO's run lengths."""
        masks = self.run_lengths()
        boxes = []
        for i, (box, score, label) in enumerate(
            zip(self.xyxy, self.scores, self.labels, strict=True)
        ):
            entry = dict(
                name=self.names[label],
                score=round(float(score), DIGITS),
                xyxy=[round(float(value), 2) for value in box],
            )
            boxes.append(entry | (dict(mask=masks[i]) if masks else {}))
        return dict(boxes=boxes) | (dict(origin=list(self.origin)) if masks else {})


@dataclass(frozen=True)
class ValueMap(PixelMap):
    """A number for each pixel.

    Attributes:
        name: What it is: ``'depth'``, in metres as the NYUv2 and Cityscapes data sets have it;
            ``'disparity'``; or what a :class:`~mmgradsplit.models.DenseRegressor` was trained on.
        values: shape [H x W].
    """

    kind = 'values'
    name: str
    values: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """The smallest, mean and largest value."""
        low, mean, high = (float(f(self.values)) for f in (np.min, np.mean, np.max))
        summary = dict(min=round(low, DIGITS), mean=round(mean, DIGITS), max=round(high, DIGITS))
        return dict(name=self.name, origin=list(self.origin), **summary)


@dataclass(frozen=True)
class VectorMap(PixelMap):
    """A vector for each pixel.

    Attributes:
        name: What it is: ``'normal'``, unit vectors: x to the right, y up, z to the camera, as the
            NYUv2 data set has them; or what was trained on.
        vectors: shape [H x W x K].
    """

    kind = 'vectors'
    name: str
    vectors: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """The mean vector."""
        mean = _rounded(self.vectors.reshape(-1, self.vectors.shape[-1]).mean(0))
        return dict(name=self.name, origin=list(self.origin), mean=mean)


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
