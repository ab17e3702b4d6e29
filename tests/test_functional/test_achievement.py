"""AMTL's and DTP's weights against their formulas, number by number, and their properties."""

import math

import pytest
import torch

from mmgradsplit.functional import amtl_weights, dtp_weights

# Single-task and multi-task (uniform) accuracies of NYUv2: AMTL, supplement, Table C.
SINGLE, MULTI = (0.4449, 0.8054, 0.4536), (0.4447, 0.8098, 0.3377)


def double(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize('focus', [1.0, 2.0, 3.0])
def test_amtl_is_a_softmax_of_what_is_left_to_achieve(focus: float) -> None:
    raw = [math.exp((1 - a / (1.05 * p)) ** focus) for a, p in zip(MULTI, SINGLE, strict=True)]
    weights = amtl_weights(double(MULTI), 1.05 * double(SINGLE), focus)
    assert weights.tolist() == pytest.approx([value / sum(raw) for value in raw], rel=1e-12)
    # The normals lag behind most in the table.
    assert weights.argmax() == 2


def test_amtl_does_not_depend_on_the_unit() -> None:
    shares = amtl_weights(double(MULTI), double(SINGLE))
    percent = amtl_weights(100 * double(MULTI), 100 * double(SINGLE))
    torch.testing.assert_close(shares, percent, rtol=1e-12, atol=0)


def test_amtl_of_equal_progress_is_uniform() -> None:
    weights = amtl_weights(0.7 * double(SINGLE), double(SINGLE))
    torch.testing.assert_close(weights, double((1 / 3, 1 / 3, 1 / 3)))
    assert amtl_weights(double(MULTI), double(SINGLE), focus=0).tolist() == pytest.approx(
        [1 / 3] * 3
    )


def test_amtl_beyond_the_potential_is_finite() -> None:
    assert amtl_weights(double((0.9, 0.5)), double((0.5, 0.5)), focus=1.5).isfinite().all()


@pytest.mark.parametrize('focus', [0.0, 1.0, 2.0])
def test_dtp_is_minus_focused_logarithm(focus: float) -> None:
    expected = [-((1 - a) ** focus) * math.log(a) for a in MULTI]
    assert dtp_weights(double(MULTI), focus).tolist() == pytest.approx(expected, rel=1e-12)


def test_dtp_falls_to_zero_and_stays_finite() -> None:
    weights = dtp_weights(torch.linspace(0, 1, 11, dtype=torch.float64))
    assert weights.isfinite().all() and weights[-1] == 0
    assert (weights.diff() < 0).all()
