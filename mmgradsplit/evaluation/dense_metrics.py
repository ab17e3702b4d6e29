"""Errors of predicted depth, disparity and surface normals."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmgradsplit.registry import METRICS

DELTA = 1.25
ANGLES = (11.25, 22.5, 30.0)
BINS = 18000  # of 0.01 degrees
# A prediction of less is counted as this in ratios and logarithms, which need a positive one.
SMALLEST = 1e-3


@METRICS.register_module()
class DepthErrorMetric(BaseMetric):
    """Errors over all annotated pixels of all images (STA, Tables 1 to 3).

    ``rmse``, ``abs_err`` (mean absolute error; of disparity in pixels, Table 3), ``abs_rel`` (mean
    of the error by the true depth), ``log10``, all in the unit of the annotation, and the shares of
    pixels ``delta1``, ``delta2``, ``delta3``, in percent, whose ratio of prediction to annotation,
    or its inverse, is below 1.25, 1.25^2 and 1.25^3. mmseg's ``DepthMetric`` averages over images
    instead, and has no absolute error.

    Args:
        field: Annotation in the data sample, NaN where there is none; ``gt_NAME`` is compared with
            ``pred_NAME``, both ``[1 x H x W]``.
        min_value: Annotations of at most this value are left out; ratios need positive ones.
        max_value: Annotations of at least this value are left out.
        clamp: Whether predictions are clamped to these two values first, as AMTL's code does with
            0.001 and 10 metres; one that is not finite counts as the nearer of them, NaN as the
            lower one.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.
    """

    lower_is_better: ClassVar[dict[str, bool]] = {'delta?': False, '*': True}

    def __init__(
        self,
        field: str = 'gt_depth_map',
        min_value: float = 0.0,
        max_value: float = float('inf'),
        clamp: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.field = field
        self.min_value = min_value
        self.max_value = float(max_value)
        self.clamp = clamp
        if clamp and not 0 < self.min_value < self.max_value < math.inf:
            raise ValueError(
                f'DepthErrorMetric: clamp=True needs 0 < min_value < max_value, both finite, got '
                f'{min_value} and {max_value}'
            )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add up the errors of each image."""
        for sample in data_samples:
            target, value = _pair(sample, self.field)
            measured = (target > self.min_value) & (target < self.max_value)
            target, value = target[measured].double(), value[measured].double()
            if self.clamp:
                value = value.nan_to_num(self.min_value).clamp(self.min_value, self.max_value)
            positive = value.clamp(min=SMALLEST)
            ratio = torch.maximum(positive / target, target / positive)
            error = (value - target).abs()
            sums = [
                error.square().sum(),
                error.sum(),
                (error / target).sum(),
                (positive / target).log10().abs().sum(),
                *((ratio < DELTA**power).sum() for power in (1, 2, 3)),
            ]
            self.results.append(np.array([len(target), *map(float, sums)]))

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Errors over all pixels.

        Raises:
            ValueError: If no pixel is annotated.
        """
        number, *sums = np.sum(results, axis=0)
        _check_number(number, self.field)
        square, absolute, relative, log10, *deltas = (float(total / number) for total in sums)
        return dict(
            rmse=square**0.5,
            abs_err=absolute,
            abs_rel=relative,
            log10=log10,
            **{f'delta{power}': 100 * share for power, share in enumerate(deltas, start=1)},
        )


@METRICS.register_module()
class NormalErrorMetric(BaseMetric):
    """Angles between predicted and true surface normals, in degrees.

    ``mean``, ``median`` (of all pixels to 0.01 degrees), ``rmse``, and, in percent, the shares
    ``11.25``, ``22.5`` and ``30`` of pixels whose angle is below as many degrees.

    Args:
        field: Annotation in the data sample, NaN where there is none; ``gt_NAME`` is compared with
            ``pred_NAME``, both ``[3 x H x W]``, of any length.
        average: ``'pixel'``: over all annotated pixels of all images; or ``'image'``: over those of
            each image, and the mean of the results over the images that have any, as AMTL's code
            does it. Of an even number of pixels the median of an image is the lower one of the two
            in the middle, as there.
        collect_device: As for mmengine's metrics.
        prefix: As for mmengine's metrics.
    """

    lower_is_better: ClassVar[dict[str, bool]] = {
        'mean': True,
        'median': True,
        'rmse': True,
        '*': False,
    }

    def __init__(
        self,
        field: str = 'gt_normal_map',
        average: str = 'pixel',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if average not in ('pixel', 'image'):
            raise ValueError(
                f"NormalErrorMetric: average must be 'pixel' or 'image', got {average!r}"
            )
        self.field, self.average = field, average

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Add up the angles of each image, and count them by size."""
        for sample in data_samples:
            target, value = _pair(sample, self.field)
            measured = ~target.isnan().any(0)
            target, value = target[:, measured].double(), value[:, measured].double()
            # Exact for small angles as well, where the cosine is flat.
            angle = torch.rad2deg(
                torch.atan2(
                    torch.linalg.cross(value, target, dim=0).norm(dim=0), (value * target).sum(0)
                )
            )
            within = [(angle < limit).sum() for limit in ANGLES]
            sums = np.array([len(angle), angle.sum(), angle.square().sum(), *within], dtype=float)
            if self.average == 'pixel':
                self.results.append((sums, torch.histc(angle, BINS, 0, 180).numpy()))
            elif len(angle):
                self.results.append((sums, float(angle.median())))

    def compute_metrics(self, results: list[tuple[np.ndarray, Any]]) -> dict[str, float]:
        """Angles over all pixels, or their mean over the images.

        Raises:
            ValueError: If no pixel is annotated.
        """
        sums = np.array([of for of, _ in results]).reshape(-1, 3 + len(ANGLES))
        _check_number(sums[:, 0].sum(), self.field)
        if self.average == 'image':
            means = sums[:, 1:] / sums[:, :1]
            means[:, 1] **= 0.5
            mean, rmse, *shares = means.mean(0).tolist()
            median = float(np.mean([of for _, of in results]))
        else:
            number, *totals = sums.sum(0)
            mean, square, *shares = (float(total / number) for total in totals)
            rmse = square**0.5
            cumulative = np.cumsum(np.sum([counts for _, counts in results], axis=0))
            median = (int(np.searchsorted(cumulative, number / 2)) + 0.5) * 180 / BINS
        return dict(
            mean=mean,
            median=median,
            rmse=rmse,
            **{f'{limit:g}': 100 * share for limit, share in zip(ANGLES, shares, strict=True)},
        )


def _pair(sample: dict, field: str) -> tuple[Tensor, Tensor]:
    """Annotation and prediction of a sample, on the CPU, without a leading dimension of 1."""
    prediction = field.replace('gt_', 'pred_', 1)
    target, value = (sample[name]['data'].cpu() for name in (field, prediction))
    if target.shape != value.shape:
        raise ValueError(
            f'{prediction} has the shape {tuple(value.shape)}, but {field} {tuple(target.shape)}; '
            f'in the validation pipeline annotations are loaded after the image has been resized'
        )
    return target, value


def _check_number(number: float, field: str) -> None:
    if not number:
        raise ValueError(f'{field}: no pixel of the data set is annotated')
