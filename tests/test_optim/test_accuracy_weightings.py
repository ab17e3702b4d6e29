"""AMTL and DTP on a small convex problem in double precision, and what their configs accept."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mmgradsplit.optim.weightings import build_weighting

TASKS = ['seg', 'depth']
NAMES = ['seg/mIoU', 'depth/delta1']
SINGLE = dict(zip(NAMES, (40.0, 80.0), strict=True))
# Three validations, in percent.
ROUNDS = [(10.0, 50.0), (30.0, 60.0), (45.0, 70.0)]
CENTRES = ((1.0, -2.0, 0.5), (3.0, 0.0, 1.0))
X = (0.3, 0.7, -1.1)


def quadratics(x: Any) -> list[Any]:
    """A loss a task: squared distance from its centre, by its own scale; never 0 away from it."""
    return [
        scale * sum((x[i] - centre[i]) ** 2 for i in range(3))
        for scale, centre in zip((0.5, 4.0), CENTRES, strict=True)
    ]


def slope(function: Any, x: tuple[float, ...]) -> list[float]:
    """Central differences."""
    found = []
    for i in range(len(x)):
        up, down = list(x), list(x)
        up[i] += 1e-6
        down[i] -= 1e-6
        found.append((function(up) - function(down)) / 2e-6)
    return found


def amtl(accuracies: list[float]) -> list[float]:
    raw = [math.exp((1 - a / (1.05 * p)) ** 2) for a, p in zip(accuracies, (40, 80), strict=True)]
    return [value / sum(raw) for value in raw]


def dtp(accuracies: list[float]) -> list[float]:
    return [-((1 - a / 100) ** 0.5) * math.log(a / 100) for a in accuracies]


def geometric(weights: list[float], x: Any) -> float:
    return math.prod(loss**w for loss, w in zip(quadratics(x), weights, strict=True))


def arithmetic(weights: list[float], x: Any) -> float:
    return sum(loss * w for loss, w in zip(quadratics(x), weights, strict=True))


@pytest.mark.parametrize(
    ('cfg', 'weights_of', 'start', 'combine'),
    [
        (dict(type='AMTLWeighting', references=SINGLE), amtl, [0.5, 0.5], geometric),
        (
            dict(type='AMTLWeighting', references=SINGLE, form='arithmetic'),
            amtl,
            [0.5, 0.5],
            arithmetic,
        ),
        (dict(type='DTPWeighting', metrics=NAMES), dtp, [1.0, 1.0], arithmetic),
    ],
)
def test_follows_the_formula_over_three_validations(
    cfg: dict, weights_of: Any, start: list[float], combine: Any
) -> None:
    weighting = build_weighting(cfg, TASKS).double()
    smoothed: list[float] = []
    for number in range(len(ROUNDS) + 1):
        weights = weights_of(smoothed) if smoothed else start
        x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
        loss = weighting(dict(zip(TASKS, quadratics(x), strict=True)))
        loss.backward()
        assert loss.item() == pytest.approx(combine(weights, X), rel=1e-12)
        expected = slope(lambda at, w=weights: combine(w, at), X)
        assert x.grad.tolist() == pytest.approx(expected, rel=1e-7)
        logged = [weighting.logs()[f'weight/{task}'].item() for task in TASKS]
        assert logged == pytest.approx(weights, rel=1e-12)
        if number < len(ROUNDS):
            new = ROUNDS[number]
            smoothed = [0.1 * a + 0.9 * old for a, old in zip(new, smoothed or new, strict=True)]
            weighting.update(dict(zip(NAMES, new, strict=True), delta_m=-3.0), iteration=number)
    assert weighting.validated.item() == 2


def test_descends_to_the_weighted_geometric_optimum() -> None:
    """Between the centres; the gradient of ``sum_t w_t log L_t`` is zero there."""
    weighting = build_weighting(dict(type='AMTLWeighting', references=SINGLE), TASKS).double()
    weighting.update(dict(zip(NAMES, ROUNDS[0], strict=True)), 1)
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    first = weighting(dict(zip(TASKS, quadratics(x), strict=True)))
    (gradient,) = torch.autograd.grad(first, x)
    values = quadratics(X)
    by_task = [slope(lambda at, t=t: quadratics(at)[t], X) for t in range(2)]
    weights = amtl(list(ROUNDS[0]))
    expected = [
        first.item() * sum(weights[t] * by_task[t][i] / values[t] for t in range(2))
        for i in range(3)
    ]
    assert gradient.tolist() == pytest.approx(expected, rel=1e-7)


def test_a_task_without_a_sample_is_a_constant_in_the_product() -> None:
    cfg = dict(type='AMTLWeighting', references=SINGLE)
    weighting = build_weighting(cfg, TASKS).double()
    leaf = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    # 'depth' has had no sample yet.
    assert weighting(dict(seg=leaf)).item() == pytest.approx(2.0)
    weighting(dict(depth=torch.tensor(9.0)))
    loss = weighting(dict(seg=leaf))
    loss.backward()
    assert loss.item() == pytest.approx(6.0)  # sqrt(4 * 9)
    assert leaf.grad.item() == pytest.approx(0.75)  # sqrt(9) / (2 sqrt(4))


def test_references_that_runs_have_measured(tmp_path: Path) -> None:
    seg, depth = tmp_path / 'seg', tmp_path / 'depth'
    seg.mkdir()
    depth.mkdir()
    (seg / 'summary.json').write_text(json.dumps(dict(untrained=None, trained={'seg/mIoU': 40.0})))
    (depth / 'result.json').write_text(json.dumps(dict(seed=0, metrics={'depth/delta1': 80.0})))
    references = {'seg/mIoU': str(seg), 'depth/delta1': depth / 'result.json'}
    weighting = build_weighting(dict(type='AMTLWeighting', references=references), TASKS)
    numbers = build_weighting(dict(type='AMTLWeighting', references=SINGLE), TASKS)
    assert torch.equal(weighting.potentials, numbers.potentials)
    assert weighting.potentials.tolist() == pytest.approx([42.0, 84.0])
    swapped = {'seg/mIoU': str(depth), 'depth/delta1': 80.0}
    with pytest.raises(ValueError, match=r"result\.json' has no 'seg/mIoU', only .*delta1"):
        build_weighting(dict(type='AMTLWeighting', references=swapped), TASKS)
    (depth / 'result.json').write_text('[1')
    with pytest.raises(ValueError, match='is not a run'):
        build_weighting(dict(type='AMTLWeighting', references=swapped), TASKS)
    with pytest.raises(FileNotFoundError, match='train the single-task network first'):
        none = {'seg/mIoU': str(tmp_path), 'depth/delta1': 80.0}
        build_weighting(dict(type='AMTLWeighting', references=none), TASKS)


@pytest.mark.parametrize(
    ('cfg', 'words'),
    [
        (dict(type='AMTLWeighting'), 'references'),
        (
            dict(type='AMTLWeighting', references={'seg/mIoU': 40.0}),
            r"references must name each of the tasks \['seg', 'depth'\] once, got \['seg'\]",
        ),
        (
            dict(type='AMTLWeighting', references={**SINGLE, 'normal/11.25': 45.0}),
            r"got \['depth', 'normal', 'seg'\]",
        ),
        (
            dict(type='AMTLWeighting', references={'seg/mIoU': 0.0, 'depth/delta1': 80.0}),
            "accuracy of 'seg/mIoU' is 0.0; a potential is made of it",
        ),
        (
            dict(type='AMTLWeighting', references={'seg/mIoU': None, 'depth/delta1': 80.0}),
            "accuracy of 'seg/mIoU' is None",
        ),
        (
            dict(type='AMTLWeighting', references={'seg/mIoU': math.nan, 'depth/delta1': 80.0}),
            'is nan',
        ),
        (dict(type='AMTLWeighting', references=[1.0, 2.0]), 'must be a mapping'),
        (dict(type='AMTLWeighting', references=SINGLE, form='harmonic'), "got 'harmonic'"),
        (dict(type='AMTLWeighting', references=SINGLE, margin=-1.0), 'margin must be above -1'),
        (dict(type='AMTLWeighting', references=SINGLE, smoothing=0), 'smoothing must be above 0'),
        (dict(type='AMTLWeighting', references=SINGLE, gamma=1), 'gamma'),
        (dict(type='DTPWeighting', metrics=['seg/mIoU']), 'metrics must name each of the tasks'),
        (dict(type='DTPWeighting', metrics='seg/mIoU'), 'must be a list'),
        (dict(type='AMTL', references=SINGLE), "did you mean 'AMTLWeighting'"),
    ],
)
def test_configs_that_do_not_fit(cfg: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_weighting(cfg, TASKS)


def test_metrics_that_do_not_fit() -> None:
    weighting = build_weighting(dict(type='AMTLWeighting', references=SINGLE), TASKS)
    with pytest.raises(KeyError, match=r"names \['depth/delta1'\], but the metrics of .*rmse"):
        weighting.update({'seg/mIoU': 30.0, 'depth/rmse': 0.6}, 1)
    for value in (math.nan, -1.0, 250.0):
        with pytest.raises(ValueError, match=r"'depth/delta1': .* is not an accuracy in percent"):
            weighting.update({'seg/mIoU': 30.0, 'depth/delta1': value}, 1)
    assert weighting.accuracies.isnan().all()  # nothing was taken from them


@pytest.mark.parametrize('cfg', ['amtl', 'torchjd.GeometricMean'])
def test_a_loss_of_zero_under_a_geometric_mean(cfg: str) -> None:
    options = dict(type='AMTLWeighting', references=SINGLE) if cfg == 'amtl' else dict(type=cfg)
    weighting = build_weighting(options, TASKS)
    for low in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"loss of the tasks \['depth'\] is 0 or negative"):
            weighting(dict(seg=torch.tensor(1.0), depth=torch.tensor(low)))
