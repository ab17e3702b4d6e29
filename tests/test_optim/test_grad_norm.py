"""GradNorm on a small convex problem in double precision, its algorithm written out."""

import pytest
import torch
from torch import nn

from mmgradsplit.optim.weightings import build_weighting

TASKS = ['seg', 'depth', 'normal']
X = (1.0, -2.0, 0.5)
CENTRES = ((1.0, 2.0), (-3.0, 0.5), (0.0, 4.0))
SCALES = (1.0, 30.0, 0.1)


class Layers(nn.Module):
    """A backbone of two layers, of which the second is the last; the norm has no kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.last = nn.Linear(3, 2, bias=False)
        self.norm = nn.LayerNorm(2)


def losses_of(kernel: torch.Tensor) -> dict[str, torch.Tensor]:
    x = torch.tensor(X, dtype=torch.float64)
    return {
        task: scale * (kernel @ x - torch.tensor(centre)).square().sum()
        for task, scale, centre in zip(TASKS, SCALES, CENTRES, strict=True)
    }


def test_algorithm() -> None:
    torch.manual_seed(0)
    alpha, rate, weight_rate = 1.5, 1e-3, 0.025
    layers = Layers().double()
    weighting = build_weighting(dict(type='GradNormWeighting', alpha=alpha), TASKS).double()
    weighting.link(layers)
    kernel = layers.last.weight
    optimizer = torch.optim.SGD(
        [dict(params=[kernel], lr=rate), dict(params=[weighting.weights], lr=weight_rate)]
    )
    # By hand: loss s |Wx - c|^2 has the gradient 2 s (Wx - c) x^T, of norm 2 s |Wx - c| |x|.
    size = sum(value**2 for value in X) ** 0.5
    own = kernel.detach().clone()
    x = torch.tensor(X, dtype=torch.float64)
    weights, first = [1.0] * 3, None
    for _ in range(30):
        weights = [3 * w / sum(weights) for w in weights]
        errors = [own @ x - torch.tensor(c, dtype=torch.float64) for c in CENTRES]
        values = [s * float(e @ e) for s, e in zip(SCALES, errors, strict=True)]
        first = first or values
        norms = [2 * s * float(e @ e) ** 0.5 * size for s, e in zip(SCALES, errors, strict=True)]
        relative = [value / start for value, start in zip(values, first, strict=True)]
        mean_rate, mean_norm = sum(relative) / 3, sum(map(float.__mul__, weights, norms)) / 3
        slopes = []
        for w, norm, r in zip(weights, norms, relative, strict=True):
            gap = w * norm - mean_norm * (r / mean_rate) ** alpha
            slopes.append(norm if gap > 0 else -norm)

        loss = weighting(losses_of(kernel))
        assert loss.item() == pytest.approx(sum(map(float.__mul__, weights, values)), rel=1e-10)
        logged = [value.item() for value in weighting.logs().values()]
        assert logged == pytest.approx(weights, rel=1e-10)
        optimizer.zero_grad()
        loss.backward()
        assert weighting.weights.grad.tolist() == pytest.approx(slopes, rel=1e-10)
        optimizer.step()

        own = own - rate * sum(
            2 * w * s * torch.outer(e, x) for w, s, e in zip(weights, SCALES, errors, strict=True)
        )
        weights = [
            max(w - weight_rate * slope, 1e-6) for w, slope in zip(weights, slopes, strict=True)
        ]
        torch.testing.assert_close(kernel.detach(), own, rtol=1e-9, atol=1e-12)
    # The norms were 300 to 1 at first; the large one has lost weight.
    assert weights[1] < weights[0]


def test_a_task_without_a_sample_keeps_its_weight() -> None:
    layers = Layers().double()
    weighting = build_weighting(dict(type='GradNormWeighting'), TASKS).double()
    weighting.link(layers)
    for seen in (False, True):  # 'depth' before its first sample, and after
        some = losses_of(layers.last.weight)
        del some['depth']
        weighting.zero_grad()
        weighting(some).backward()
        assert weighting.weights.grad[1] == 0
        assert (weighting.weights.grad[[0, 2]] != 0).all(), seen
        weighting(losses_of(layers.last.weight))


def test_layers_by_name() -> None:
    layers = Layers()
    weighting = build_weighting(dict(type='GradNormWeighting', layer='head'), TASKS)
    weighting.link(layers)
    assert weighting._last[0] is layers.head.weight
    for name in ('norm', 'layer4'):
        weighting.layer = name
        with pytest.raises(ValueError, match=r"no layer '.*only \['head', 'last'\]"):
            weighting.link(layers)


def test_a_first_loss_of_zero() -> None:
    layers = Layers().double()
    weighting = build_weighting(dict(type='GradNormWeighting'), TASKS)
    weighting.link(layers)
    losses = losses_of(layers.last.weight)
    losses['depth'] = 0 * losses['depth']
    with pytest.raises(ValueError, match=r"tasks \['depth'\] is 0.*divided by the first loss"):
        weighting(losses)
