"""Weightings: uniform, and TorchJD's scalarizers."""

import math

import pytest
import torch
from torchjd import scalarization

from mmgradsplit.models import STAMaskRCNN
from mmgradsplit.optim.weightings import build_weighting

TASKS = ['seg', 'depth', 'normal']


def losses(*values: float) -> dict[str, torch.Tensor]:
    return {t: torch.tensor(v, requires_grad=True) for t, v in zip(TASKS, values, strict=False)}


def test_uniform_is_the_mean_over_the_tasks_of_a_step() -> None:
    weighting = build_weighting(None, TASKS)
    assert weighting(losses(3.0, 6.0, 9.0)).item() == 6.0
    assert weighting(losses(3.0, 6.0)).item() == 3.0  # (3 + 6) / 3, still the mean over three
    weighting.task_steps = True
    assert weighting(dict(depth=torch.tensor(6.1))).item() == torch.tensor(6.1).item()
    lambdas = build_weighting(None, TASKS, dict(seg=2.0, normal=0.5))
    assert lambdas(losses(3.0, 6.0, 9.0)).item() == (2 * 3 + 6 + 0.5 * 9) / 3
    cfg = dict(type='UniformWeighting', weights=dict(depth=4.0))
    assert build_weighting(cfg, TASKS)(losses(3.0, 6.0, 9.0)).item() == (3 + 4 * 6 + 9) / 3


def test_mask_rcnn_adds_its_losses_up_as_mmdet_does() -> None:
    weighting = build_weighting(None, STAMaskRCNN.tasks, STAMaskRCNN.loss_weights)
    given = dict(det=torch.tensor(1.3), mask=torch.tensor(0.7))
    assert weighting(given) == given['det'] + given['mask']
    assert weighting(dict(det=given['det'])) == given['det']


@pytest.mark.parametrize('method', ['UW', 'DWA', 'IMTLL', 'GeometricMean', 'Mean', 'STCH'])
def test_scalarizers_of_torchjd(method: str) -> None:
    options = {'mu': 0.5} if method == 'STCH' else {}
    weighting = build_weighting(dict(type=f'torchjd.{method}', **options), TASKS)
    kind = getattr(scalarization, method)
    theirs = kind(3) if method in ('UW', 'IMTLL') else kind(**options)
    for values in ((1.0, 2.0, 3.0), (0.5, 2.5, 1.0), (0.4, 1.5, 0.7)):
        assert torch.equal(weighting(losses(*values)), theirs(torch.tensor(values)))
    assert len(list(weighting.parameters())) == len(list(theirs.parameters()))


def test_a_task_without_a_sample_stands_with_its_latest_loss() -> None:
    weighting = build_weighting(dict(type='torchjd.UW'), TASKS)
    weighting(losses(1.0, 2.0, 4.0))
    given = losses(1.0, 2.0)
    weighting(given).backward()
    (log_var,) = weighting.parameters()
    # d/ds (exp(-s) l / 2 + s / 2) at s = 0, with l = 1, 2 and the earlier 4.
    assert log_var.grad.tolist() == [0.0, -0.5, -1.5]
    assert [given[task].grad.item() for task in given] == [0.5, 0.5]


OPTIONS: dict[str, dict] = dict(
    Constant=dict(weights=dict(normal=3.0, seg=1.0, depth=2.0)),  # by task, in any order
    COSMOS=dict(lambda_=0.5, weights=[1.0, 2.0, 3.0]),
    PBI=dict(theta=5.0, weights=[1.0, 2.0, 3.0], reference=[0.0, 0.1, 0.2]),
    STCH=dict(mu=0.5, weights=[0.2, 0.3, 0.5]),
    FAMO=dict(min_losses=[0.0, 0.1, 0.2]),
)
METHODS = [name for name in scalarization.__all__ if name != 'Scalarizer']


@pytest.mark.parametrize('method', METHODS)
def test_weights_are_the_factors_of_the_gradients(method: str) -> None:
    weighting = build_weighting(dict(type=f'torchjd.{method}', **OPTIONS.get(method, {})), TASKS)
    given = losses(1.0, 2.0, 3.0)
    weighting(given).backward()
    for task in TASKS:
        assert weighting.logs()[f'weight/{task}'] == given[task].grad
    if method == 'Constant':
        assert [given[task].grad.item() for task in TASKS] == [1.0, 2.0, 3.0]


def test_famo_against_its_equations() -> None:
    """Algorithm 1: gradient descent on quadratics, logits by Adam written out, in doubles."""
    cfg = dict(type='torchjd.FAMO', lr=0.1, weight_decay=0.01)
    weighting = build_weighting(cfg, TASKS[:2]).double()
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)

    def compute(at: torch.Tensor) -> list[torch.Tensor]:
        return [(at - 3).square().sum() + 1, 5 * (at + 1).square().sum() + 0.5]

    logits, first, second = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
    for step in range(1, 6):
        before = compute(x)
        weights = torch.softmax(torch.tensor(logits, dtype=torch.float64), 0).tolist()
        factors = [w / loss.item() for w, loss in zip(weights, before, strict=True)]
        expected = [factor / sum(factors) for factor in factors]
        (gradient,) = torch.autograd.grad(
            weighting(dict(zip(TASKS, before, strict=False))), x, retain_graph=True
        )
        own = [torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in before]
        combined = expected[0] * own[0] + expected[1] * own[1]
        torch.testing.assert_close(gradient, combined, rtol=1e-6, atol=0)
        with torch.no_grad():
            x -= 0.01 * gradient
        after = compute(x)
        weighting.revise({t: v.detach() for t, v in zip(TASKS, after, strict=False)})
        change = [(b.log() - a.log()).item() for b, a in zip(before, after, strict=True)]
        mean = sum(w * c for w, c in zip(weights, change, strict=True))
        for i in range(2):
            slope = weights[i] * (change[i] - mean) + 0.01 * logits[i]
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.999 * second[i] + 0.001 * slope**2
            size = (second[i] / (1 - 0.999**step)) ** 0.5 + 1e-8
            logits[i] -= 0.1 * first[i] / (1 - 0.9**step) / size
        assert weighting.scalarizer._w.tolist() == pytest.approx(logits, rel=1e-5, abs=1e-7)
    assert abs(logits[0]) > 0.1


def test_dwa_against_its_equations() -> None:
    weighting = build_weighting(dict(type='torchjd.DWA'), TASKS).double()
    epochs = [[(1.0, 2.0, 3.0), (3.0, 2.0, 1.0)], [(1.0, 1.0, 4.0)], [(5.0, 6.0, 7.0)]]
    means = []
    for number, batches in enumerate(epochs):
        for batch in batches:
            total = weighting(losses(*batch)).item()
        means.append([sum(batch[t] for batch in batches) / len(batches) for t in range(3)])
        if number == 2:
            rates = torch.tensor([means[1][t] / means[0][t] for t in range(3)])
            weights = 3 * torch.softmax(rates / 2, 0)
            assert total == pytest.approx(sum(w * v for w, v in zip(weights, batch, strict=True)))
        else:
            assert total == pytest.approx(sum(batch))
        weighting.end_epoch()


@pytest.mark.parametrize(
    ('cfg', 'words'),
    [
        (dict(type='torchjd.STCH'), r"torchjd\.STCH.*'mu'.*its arguments are \['mu', 'weights'"),
        (dict(type='torchjd.DWA', temperature=0), 'temperature'),
        (dict(type='torchjd.Constant', weights=[1.0, 2.0]), 'a number for each of the tasks'),
        (dict(type='torchjd.Constant', weights=dict(seg=1.0)), 'weights must name each of'),
        (dict(type='torchjd.FAM'), r"did you mean 'torchjd\.FAMO'"),
        (dict(type='UW'), r"no weighting 'UW', only .*did you mean 'torchjd\.UW'"),
        (dict(type='Uniform'), "did you mean 'UniformWeighting'"),
        (dict(weights=dict(seg=2.0)), "no weighting 'None'"),
        (dict(type='UniformWeighting', weights=dict(sge=2.0)), r"names \['sge'\], but the tasks"),
        (dict(type='UniformWeighting', lambdas=[1.0]), r"optim_wrapper\.weighting: .*'lambdas'"),
    ],
)
def test_configs_that_do_not_fit(cfg: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_weighting(cfg, TASKS)


def test_uncertainty_weighting_begins_where_the_config_says() -> None:
    """``exp(-s) l / 2 + s / 2`` with s = -0.5, as in LibMTL and MTAN's code, or by task."""
    losses = {task: torch.tensor(2.0 + i) for i, task in enumerate(TASKS)}
    starts = dict(zip(TASKS, (-0.5, 0.0, 1.5), strict=True))
    for start in (-0.5, starts):
        weighting = build_weighting(dict(type='torchjd.UW', start=start), TASKS)
        total = 0.0
        for task, loss in losses.items():
            s = start[task] if isinstance(start, dict) else start
            total += math.exp(-s) * float(loss) / 2 + s / 2
        assert float(weighting(losses)) == pytest.approx(total, rel=1e-6)
    with pytest.raises(ValueError, match=r'start: torchjd\.DWA learns nothing'):
        build_weighting(dict(type='torchjd.DWA', start=1.0), TASKS)
