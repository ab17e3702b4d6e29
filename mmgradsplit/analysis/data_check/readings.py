"""Reads samples as a training does, and keeps what can be said of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import SampleError, seed_all
from mmgradsplit.utils.data_files import IMPLAUSIBLE

IGNORED = 255
# Maps of numbers, and what their numbers are.
UNITS = dict(gt_depth_map='m', gt_disparity_map='pixels')
# Metres; medians beyond are those of another unit.
NEAREST, FARTHEST = 0.02, 300.0


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file.

    Attributes:
        kind: ``'unreadable'``, ``'mismatched'`` or ``'implausible'``.
        file: The file, or what is known of it.
        what: What is wrong with it.
        index: Index of the sample.
    """

    kind: str
    file: str
    what: str
    index: int | None = None


@dataclass
class Reading:
    """What one sample holds.

    Attributes:
        size: Width and height of its image.
        counts: How often each class is in it, by what it was learned from: images of ``gt_label``,
            pixels of ``gt_seg_map``, boxes of ``bbox_label``, visible ones of ``keypoints``.
        ranges: Smallest, median and largest number of each map, and the share that was measured.
        maps: Names of the maps beside the image.
        findings: What is wrong with it.
    """

    size: tuple[int, int] | None = None
    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    maps: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Observer:
    """Notes what the pipelines of a data set have loaded, sample by sample."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.index = 0
        self.ready: Mapping[str, Any] | None = None

    def start(self, index: int) -> None:
        """Begin with another sample."""
        self.reading, self.index, self.ready = Reading(), index, None

    def __call__(self, stage: str, results: Mapping[str, Any]) -> None:
        """Take what :class:`~mmgradsplit.datasets.CheckedPipeline` has at a stage."""
        if stage == 'ready':
            self.ready = dict(results)
            return
        field_ = results['loaded']
        if field_ == 'img':
            self._image(results)
            return
        self.reading.maps.append(field_)
        if field_ == 'gt_seg_map':
            self._labels(results[field_], str(results.get('seg_map_path')))
        else:
            self._numbers(field_, results)

    def _image(self, results: Mapping[str, Any]) -> None:
        image, reading = results['img'], self.reading
        reading.size = (image.shape[1], image.shape[0])
        if (image == image[:1, :1]).all():
            self._find(
                'all pixels of the image have one colour', str(results.get('img_path', 'no file'))
            )
        label = results.get('gt_label')
        if label is not None:
            reading.counts['gt_label'] = {int(each): 1 for each in np.atleast_1d(label)}
        boxes = [each['bbox_label'] for each in results.get('instances') or ()]
        if boxes:
            reading.counts['bbox_label'] = _counted(np.asarray(boxes))
        if results.get('keypoints_visible') is not None:
            shown = np.asarray(results['keypoints_visible'])
            shown = (shown[..., 0] if shown.ndim == 3 else shown) > 0
            reading.counts['keypoints'] = dict(enumerate(shown.sum(0).tolist()))

    def _labels(self, labels: np.ndarray, path: str) -> None:
        self.reading.counts['gt_seg_map'] = _counted(labels.ravel())
        if (labels == IGNORED).all():
            self._find('nothing is labelled in the label map, all its pixels are ignored', path)

    def _numbers(self, name: str, results: Mapping[str, Any]) -> None:
        values, path = results[name], str(results.get(f'{name[3:]}_path'))
        finite = np.isfinite(values)
        share = float(finite.mean())
        if not finite.any():
            self._find('nothing is measured in the map', path)
            return
        known = values[finite]
        low, middle, high = (float(each) for each in np.quantile(known, (0, 0.5, 1)))
        self.reading.ranges[name] = (low, middle, high, share)
        if name == 'gt_depth_map' and not NEAREST <= middle <= FARTHEST:
            self._find(
                f'the median of the depth is {middle:.4g} m, which cannot be; look at depth_factor',
                path,
            )

    def _find(self, what: str, path: str) -> None:
        self.reading.findings.append(Finding(IMPLAUSIBLE, path, what, self.index))


def _counted(numbers: np.ndarray) -> dict[int, int]:
    values, counts = np.unique(numbers, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


class Probe(Dataset):
    """A data set whose samples are what can be said of them; nothing ends the reading.

    Args:
        dataset: The data set, whose pipelines report to the observer.
        observer: Its observer.
        seed: Seed of the augmentations.
    """

    def __init__(self, dataset: Any, observer: Observer, seed: int = 0) -> None:
        self.dataset = dataset
        self.observer = observer
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Reading:
        """Read a sample as a training does, with its augmentations."""
        seed_all(derive_seed(self.seed, 'check', index))
        self.observer.start(index)
        try:
            self.dataset[index]
        except Exception as error:  # whatever a pipeline raises is a finding
            self.observer.reading.findings.append(self._finding(error, index))
        return self.observer.reading

    def _finding(self, error: Exception, index: int) -> Finding:
        if isinstance(error, SampleError):
            return Finding(error.kind, error.file or f'sample {index}', error.what, index)
        what = f'{type(error).__name__}: {error}'
        return Finding('unreadable', f'sample {index}', what, index)


def start_worker(worker: int) -> None:
    """Let a worker use one thread; the workers share the cores."""
    cv2.setNumThreads(0)
