"""Errors of depth and normals against mmseg's metric, loops over pixels, and known rotations."""

import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.structures import BaseDataElement, PixelData
from mmseg.evaluation import DepthMetric

from mmgradsplit.evaluation import DepthErrorMetric, NormalErrorMetric


def evaluate(metric: BaseMetric, name: str, pairs: list) -> dict[str, float]:
    evaluator = Evaluator(metric)
    for target, value in pairs:
        sample = BaseDataElement()
        sample.set_data(
            {f'gt_{name}': PixelData(data=target), f'pred_{name}': PixelData(data=value)}
        )
        evaluator.process([sample], None)
    return evaluator.evaluate(len(pairs))


def depths(number: int, hole: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    pairs = []
    for _ in range(number):
        target = 0.5 + 8 * torch.rand(1, 6, 7, generator=generator)
        value = target * torch.exp(0.4 * torch.randn(1, 6, 7, generator=generator))
        if hole:
            target[0, :2] = torch.nan
        pairs.append((target, value))
    return pairs


@pytest.mark.parametrize('hole', [False, True])
def test_depth_of_one_image_equals_mmsegs(hole: bool) -> None:
    pairs = depths(1, hole)
    found = evaluate(DepthErrorMetric(), 'depth_map', pairs)
    theirs = evaluate(DepthMetric(), 'depth_map', pairs)
    for name, other in (('rmse', 'rmse'), ('abs_rel', 'abs_rel'), ('log10', 'log10')):
        assert found[name] == pytest.approx(theirs[other], rel=1e-5)
    for power in (1, 2, 3):
        assert found[f'delta{power}'] == pytest.approx(100 * theirs[f'd{power}'], rel=1e-5)


def test_depth_counts_every_pixel_alike() -> None:
    """One image with two pixels off by 1, one with six that are right: the mean over eight."""
    first = torch.tensor([[[1.0, 2.0, torch.nan, torch.nan]]])
    second = torch.ones(1, 2, 3)
    pairs = [(first, first.nan_to_num(5.0) + 1), (second, second)]
    found = evaluate(DepthErrorMetric(), 'depth_map', pairs)
    assert found['abs_err'] == pytest.approx(2 / 8)
    assert found['rmse'] == pytest.approx(math.sqrt(2 / 8))
    assert found['abs_rel'] == pytest.approx((1 / 1 + 1 / 2) / 8)
    assert found['delta1'] == pytest.approx(100 * 6 / 8)
    assert found['delta2'] == pytest.approx(100 * 7 / 8)  # 3 / 2 is below 1.5625
    assert found['delta3'] == pytest.approx(100 * 7 / 8)


def test_disparity_in_pixels_with_a_limit() -> None:
    target = torch.tensor([[[3.0, 50.0, 300.0]]])
    metric = DepthErrorMetric('gt_disparity_map', max_value=192)
    found = evaluate(metric, 'disparity_map', [(target, target + 4)])
    assert found['abs_err'] == pytest.approx(4)


def test_a_prediction_below_zero_has_an_error_but_no_nan() -> None:
    found = evaluate(
        DepthErrorMetric(), 'depth_map', [(torch.ones(1, 1, 1), torch.full((1, 1, 1), -2.0))]
    )
    assert found['rmse'] == pytest.approx(3)
    assert found['delta3'] == 0
    assert all(math.isfinite(value) for value in found.values())


def rotated(angles: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Normals and normals at known angles to them, in planes drawn at random."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(*angles.shape, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    other = np.cross(normal, rng.normal(size=normal.shape))
    other /= np.linalg.norm(other, axis=-1, keepdims=True)
    radians = np.deg2rad(angles)[..., None]
    value = np.cos(radians) * normal + np.sin(radians) * other
    first, second = (torch.from_numpy(of).permute(2, 0, 1) for of in (normal, value))
    return first, second


def test_normals_at_known_angles() -> None:
    rng = np.random.default_rng(1)
    angles = [rng.gamma(2, 12, size=(20, 30)) % 180 for _ in range(3)]
    pairs = [rotated(of) for of in angles]
    pairs[0][0][:, 0] = torch.nan
    counted = np.concatenate([angles[0][1:].ravel(), angles[1].ravel(), angles[2].ravel()])
    # The length of a prediction does not matter.
    found = evaluate(NormalErrorMetric(), 'normal_map', [(t, 3 * v) for t, v in pairs])
    assert found['mean'] == pytest.approx(counted.mean())
    assert found['median'] == pytest.approx(np.median(counted), abs=0.06)
    assert found['rmse'] == pytest.approx(math.sqrt((counted**2).mean()))
    for limit in (11.25, 22.5, 30):
        assert found[f'{limit:g}'] == pytest.approx(100 * (counted < limit).mean())


def test_a_perfect_and_an_opposite_normal() -> None:
    target, _ = rotated(np.zeros((2, 2)))
    assert evaluate(NormalErrorMetric(), 'normal_map', [(target, target)])['mean'] == pytest.approx(
        0, abs=1e-9
    )
    assert evaluate(NormalErrorMetric(), 'normal_map', [(target, -target)])['mean'] == 180


@pytest.mark.parametrize(
    ('metric', 'name', 'channels'),
    [(DepthErrorMetric(), 'depth_map', 1), (NormalErrorMetric(), 'normal_map', 3)],
)
def test_errors(metric: BaseMetric, name: str, channels: int) -> None:
    nothing = torch.full((channels, 2, 2), torch.nan)
    with pytest.raises(ValueError, match=f'gt_{name}: no pixel of the data set is annotated'):
        evaluate(metric, name, [(nothing, torch.ones(channels, 2, 2))])
    with pytest.raises(ValueError, match=rf'pred_{name} has the shape .* but gt_{name}'):
        evaluate(metric, name, [(nothing, torch.ones(channels, 2, 3))])


def test_depth_as_amtls_code_counts_it() -> None:
    """Annotations from 1 mm to 10 m; predictions are clamped to it, and NaN counts as 1 mm."""
    targets = [0.0005, 0.5, 2.0, 9.0, 10.0, 12.0, 4.0, 3.0]
    values = [1.0, -3.0, 2.2, 30.0, 10.0, 12.0, math.nan, math.inf]
    pairs = [(torch.tensor([[targets]]), torch.tensor([[values]]))]
    metric = DepthErrorMetric(min_value=0.001, max_value=10.0, clamp=True)
    found = evaluate(metric, 'depth_map', pairs)
    counted = [(0.5, 0.001), (2.0, 2.2), (9.0, 10.0), (4.0, 0.001), (3.0, 10.0)]
    errors = [abs(value - target) for target, value in counted]
    ratios = [max(value / target, target / value) for target, value in counted]
    assert found['rmse'] == pytest.approx(math.sqrt(sum(e * e for e in errors) / 5), rel=1e-6)
    assert found['abs_rel'] == pytest.approx(
        sum(e / t for e, (t, _) in zip(errors, counted, strict=True)) / 5, rel=1e-6
    )
    assert found['delta1'] == pytest.approx(100 * sum(r < 1.25 for r in ratios) / 5)
    with pytest.raises(ValueError, match='clamp=True needs 0 < min_value < max_value'):
        DepthErrorMetric(clamp=True)


def test_normals_by_image() -> None:
    """Mean, lower median and shares of each image, and their mean over the images with any."""
    rng = np.random.default_rng(2)
    # Images that differ, of which one has few annotated pixels, an even number, and one none.
    angles = [rng.gamma(2, scale, size=(6, 5)) % 180 for scale in (4, 30, 12)]
    pairs = [rotated(of) for of in angles]
    pairs[1][0][:, 1:] = torch.nan
    pairs[1][0][:, :, 4:] = torch.nan
    pairs[2][0][:] = torch.nan
    images = [np.sort(angles[0].ravel()), np.sort(angles[1][0, :4])]
    found = evaluate(NormalErrorMetric(average='image'), 'normal_map', pairs)
    assert found['mean'] == pytest.approx(np.mean([of.mean() for of in images]))
    assert found['median'] == pytest.approx(np.mean([of[(len(of) - 1) // 2] for of in images]))
    for limit in (11.25, 22.5, 30):
        shares = [(of < limit).mean() for of in images]
        assert found[f'{limit:g}'] == pytest.approx(100 * np.mean(shares))
    pooled = evaluate(NormalErrorMetric(), 'normal_map', pairs)
    assert pooled['mean'] != pytest.approx(found['mean'], rel=0.1)
    with pytest.raises(ValueError, match="average must be 'pixel' or 'image', got 'batch'"):
        NormalErrorMetric(average='batch')
