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
    assert weighting._last == (layers.head.weight, layers.head.bias)
    weighting.layer = ['la*', 'head']
    weighting.link(layers)
    assert weighting._last == (layers.last.weight, layers.head.weight, layers.head.bias)
    weighting.layer = 'layer4'
    with pytest.raises(ValueError, match=r"layer: 'layer4' matches no module of the Layers"):
        weighting.link(layers)
    weighting.layer = 'norm'
    layers.norm.requires_grad_(False)
    with pytest.raises(ValueError, match='norm has no parameter that is trained'):
        weighting.link(layers)


def test_a_first_loss_of_zero() -> None:
    layers = Layers().double()
    weighting = build_weighting(dict(type='GradNormWeighting'), TASKS)
    weighting.link(layers)
    losses = losses_of(layers.last.weight)
    losses['depth'] = 0 * losses['depth']
    with pytest.raises(ValueError, match=r"tasks \['depth'\] is 0.*divided by the first loss"):
        weighting(losses)


class TwoKernels(nn.Module):
    """A backbone whose last module has two kernels that every loss depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 3)
        self.layer4 = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))

    def losses(self) -> dict[str, torch.Tensor]:
        out = self.layer4(self.stem(torch.tensor(X, dtype=torch.float64)))
        return {
            task: scale * (out - torch.tensor(centre, dtype=torch.float64)).square().sum()
            for task, scale, centre in zip(TASKS, SCALES, CENTRES, strict=True)
        }


def norms_of(network: TwoKernels) -> list[float]:
    params = list(network.layer4.parameters())
    norms = []
    for loss in network.losses().values():
        squares = [g.square().sum() for g in torch.autograd.grad(loss, params, retain_graph=True)]
        norms.append(float(sum(squares)) ** 0.5)
    return norms


def slopes_of(
    weights: list[float], norms: list[float], values: list[float], first: list[float]
) -> list[float]:
    """d/dw_t of the sum of |w_t n_t - mean(w n) r_t^1.5|, with the second term a constant."""
    relative = [value / start for value, start in zip(values, first, strict=True)]
    mean_norm = sum(w * n for w, n in zip(weights, norms, strict=True)) / 3
    targets = [mean_norm * (3 * r / sum(relative)) ** 1.5 for r in relative]
    return [
        n if w * n > target else -n for w, n, target in zip(weights, norms, targets, strict=True)
    ]


@pytest.mark.parametrize('normalise', [None, 'own', 'mean'])
@pytest.mark.parametrize('momentum', [None, 0.1])
def test_all_of_a_module_with_normalised_gradients(
    normalise: str | None, momentum: float | None
) -> None:
    torch.manual_seed(0)
    network = TwoKernels().double()
    options = dict(layer='*layer4', normalise=normalise, momentum=momentum, lr=None)
    weighting = build_weighting(dict(type='GradNormWeighting', **options), TASKS).double()
    weighting.link(network)
    weighting.network_lr = rate = 1e-3
    # By hand. AMTL's code begins at 1/T, and its SGD steps before the loss is made of the weights.
    weights, speed = [1.0 if momentum is None else 1 / 3] * 3, [0.0] * 3
    torch.testing.assert_close(weighting.weights.tolist(), weights, rtol=1e-7, atol=0)
    weighting.weights.data.fill_(weights[0])  # 1/3 to double precision
    # Not the first losses of this network, with which all tasks would be on their targets.
    first = [200.0, 50.0, 8.0]
    weighting.first.copy_(torch.tensor(first))
    for step in range(5):
        values = [float(loss) for loss in network.losses().values()]
        norms = norms_of(network)
        if normalise == 'own':
            norms = [1.0] * 3
        elif normalise == 'mean':
            norms = [3 * norm / sum(norms) for norm in norms]
        slopes = slopes_of(weights, norms, values, first)
        if momentum is not None:
            speed = [momentum * v + slope for v, slope in zip(speed, slopes, strict=True)]
            weights = [max(w - rate * v, 1e-6) for w, v in zip(weights, speed, strict=True)]
            weights = [3 * w / sum(weights) for w in weights]
        network.zero_grad()
        loss = weighting(network.losses())
        assert loss.item() == pytest.approx(
            sum(w * v for w, v in zip(weights, values, strict=True)), rel=1e-10
        )
        loss.backward()
        if momentum is None:
            assert weighting.weights.grad.tolist() == pytest.approx(slopes, rel=1e-9), step
            weighting.weights.grad = None
            weights = [w + step for w, step in zip(weights, (0.1, -0.05, -0.05), strict=True)]
            weighting.weights.data.copy_(torch.tensor(weights, dtype=torch.float64))
        else:
            assert weighting.weights.tolist() == pytest.approx(weights, rel=1e-9), step
            assert not list(weighting.parameters())
        with torch.no_grad():
            for param in network.parameters():
                param -= 1e-3 * param.grad
    assert weights != pytest.approx([1.0] * 3)


def test_the_state_of_its_own_sgd_is_in_the_checkpoint() -> None:
    torch.manual_seed(0)
    network = TwoKernels().double()
    options = dict(type='GradNormWeighting', momentum=0.5, lr=1e-3)
    one, other = (build_weighting(options, TASKS).double() for _ in range(2))
    for weighting in (one, other):
        weighting.link(network)
    one(network.losses())
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(network.losses()), other(network.losses()))
    assert torch.equal(one.weights, other.weights)


def test_what_it_refuses() -> None:
    with pytest.raises(ValueError, match="normalise must be 'own', 'mean' or None, got 'l2'"):
        build_weighting(dict(type='GradNormWeighting', normalise='l2'), TASKS)
    weighting = build_weighting(dict(type='GradNormWeighting', momentum=0.1, lr=None), TASKS)
    network = TwoKernels().double()
    weighting.link(network)
    with pytest.raises(ValueError, match=r'optim_wrapper\.optimizer has no lr'):
        weighting(network.losses())
