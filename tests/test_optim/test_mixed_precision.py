"""Mixed precision: weightings and aggregators in single precision, and a loss scale that hides."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from toy import task_step
from toy_aggregation import batch_of, joint_step, toy, values, weighted, wrapper_of
from toy_joint import TASKS
from toy_weighting import AMTL, DTP, GRADNORM, SINGLE

BFLOAT16 = dict(type='AutocastOptimWrapper')

# ---- weightings ----

ACCURACIES = dict(zip(SINGLE, (20.0, 85.0, 39.0), strict=True))
LOG_VARIANCES = (-0.5, 0.25, 1.0)


def amtl(losses: list[float]) -> float:
    gaps = [1 - ACCURACIES[name] / (1.05 * single) for name, single in SINGLE.items()]
    raw = [math.exp(gap**2) for gap in gaps]
    return math.prod(loss ** (w / sum(raw)) for loss, w in zip(losses, raw, strict=True))


def dtp(losses: list[float]) -> float:
    shares = [accuracy / 100 for accuracy in ACCURACIES.values()]
    return sum(
        -((1 - a) ** 0.5) * math.log(a) * loss for a, loss in zip(shares, losses, strict=True)
    )


def uncertainty(losses: list[float]) -> float:
    pairs = zip(losses, LOG_VARIANCES, strict=True)
    return sum(math.exp(-s) * loss / 2 + s / 2 for loss, s in pairs)


# With the formula in float64; GradNorm's weights begin with 1.
WEIGHTINGS: dict[str, tuple[dict[str, Any], Callable[[list[float]], float]]] = dict(
    AMTL=(AMTL, amtl),
    DTP=(DTP, dtp),
    GradNorm=(GRADNORM, sum),
    UW=(dict(type='torchjd.UW'), uncertainty),
    uniform=(dict(type='UniformWeighting'), lambda losses: sum(losses) / 3),
)


def prepared(model: Any, name: str, **cfg: Any) -> Any:
    """The wrapper of a weighting with what it has learned, or has been told."""
    cfg = dict(base=BFLOAT16, optimizer=dict(type='SGD', lr=1e-6)) | cfg
    wrapper = weighted(model, WEIGHTINGS[name][0], **cfg)
    wrapper.validated(ACCURACIES, 1)
    if name == 'UW':
        with torch.no_grad():
            wrapper.weighting.scalarizer.log_var.copy_(torch.tensor(LOG_VARIANCES))
    return wrapper


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', WEIGHTINGS)
def test_losses_in_half_precision_are_weighted_in_single(
    name: str, dtype: torch.dtype, autocast: bool
) -> None:
    """Their sum is beyond float16, and bfloat16 keeps three digits."""
    model = toy().float()
    wrapper = prepared(model, name)
    kernel = model.backbone.conv.weight
    losses = {
        task: (value + kernel.sum() - kernel.sum().detach()).to(dtype)
        for task, value in zip(TASKS, (60000.0, 50016.0, 44992.0), strict=True)
    }
    given = [loss.item() for loss in losses.values()]
    before = values([kernel])
    with torch.autocast('cpu', enabled=autocast):
        log = wrapper.update_tasks(losses)
    assert log['loss'].dtype == torch.float32
    assert log['loss'].item() == pytest.approx(WEIGHTINGS[name][1](given), rel=1e-6)
    # The gradient comes back in the losses' type, which it fits in.
    assert values([kernel]).isfinite().all() and (values([kernel]) != before).all()


@pytest.mark.parametrize('name', WEIGHTINGS)
def test_a_step_under_autocast(name: str) -> None:
    model = toy().float()
    wrapper = prepared(model, name)
    features = []
    model.backbone.register_forward_hook(lambda _, args, out: features.append(out[0].dtype))
    before = values(model.parameters())
    log = joint_step(model, wrapper, [0, 1, 2])
    given = [float(log[f'{task}/loss']) for task in TASKS]
    assert features == [torch.bfloat16]
    assert log['loss'].item() == pytest.approx(WEIGHTINGS[name][1](given), rel=1e-6)
    assert (values(model.parameters()) != before).any()


def test_double_precision_stays() -> None:
    model = toy()
    for name in ('DTP', 'GradNorm', 'UW', 'uniform'):
        log = joint_step(model, prepared(model, name, base={}), [0, 1])
        given = [float(log[f'{task}/loss']) for task in TASKS]
        assert log['loss'].item() == pytest.approx(WEIGHTINGS[name][1](given), rel=1e-13), name


# ---- aggregators ----


@pytest.mark.parametrize('on', ['backbone', 'features'])
def test_an_aggregator_sees_gradients_in_single_precision(on: str) -> None:
    """The features are in bfloat16."""
    model = toy().float()
    options = dict(base=BFLOAT16, on=on, optimizer=dict(type='SGD', lr=0.01))
    wrapper = wrapper_of(model, 'UPGrad', **options)
    seen = []
    wrapper.aggregator.gramian_weighting.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].dtype)
    )
    features = []
    model.backbone.register_forward_hook(lambda _, args, out: features.append(out[0].dtype))
    before = values(model.parameters())
    joint_step(model, wrapper, [0, 1, 2])
    assert seen == [torch.float32] and features == [torch.bfloat16]
    after = values(model.parameters())
    assert after.isfinite().all() and (after != before).any()


# ---- loss scaling ----

SCALED = dict(type='AmpOptimWrapper', loss_scale=dict(init_scale=1024.0))
SPLIT = dict(
    kind='GradSplitOptimWrapper', task_steps=True, modules=['conv'], optimizers='shared',
    relations=[[0, -1, 0], [0, 0, -1], [0, 0, 0]],
)  # fmt: skip
# FairGrad's weights are not those of gradients 1,024 times as large.
FAIR = dict(type='torchjd.FairGrad', alpha=2.0)
CASES: dict[str, dict[str, Any]] = {
    'uncertainty': dict(kind='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW')),
    'GradNorm': dict(kind='MultiTaskOptimWrapper', weighting=GRADNORM),
    'CosReg': dict(kind='CosRegOptimWrapper', on='backbone'),
    'backbone': dict(name='FairGrad'),
    'features': dict(name='FairGrad', on='features'),
    'clipped': dict(name='FairGrad', clip_grad=dict(max_norm=0.1)),
    'accumulated': dict(name='FairGrad', accumulative_counts=2),
    'in turn': dict(name='FairGrad', task_steps=True),
    'GradSplit': SPLIT,
    'GradSplit, separate': SPLIT | dict(optimizers='separate', accumulative_counts=2),
    'GradSplit, summed': SPLIT | dict(update='iteration', accumulative_counts=2),
    'GradSplit, aggregated': SPLIT | dict(update='iteration', aggregator=FAIR),
}


@pytest.fixture
def scaler_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    module = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    monkeypatch.setattr(
        f'{module}.GradScaler', lambda **options: torch.amp.GradScaler('cpu', **options)
    )


def iteration(model: Any, wrapper: Any, case: dict, samples: list[int]) -> None:
    if not case.get('task_steps'):
        joint_step(model, wrapper, samples)
        return
    for task in TASKS:
        task_step(model, wrapper, dict(batch_of(samples), task=task))


def scales(wrapper: Any) -> set[float]:
    return {float(base.loss_scaler.get_scale()) for base in wrapper.values()}


@pytest.mark.usefixtures('scaler_on_cpu')
@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_loss_scaling_does_not_show(case: dict) -> None:
    plain, ours = toy(), toy()
    cfg = dict(name=None, optimizer=dict(type='SGD', lr=0.05)) | case
    one, other = wrapper_of(plain, **cfg), wrapper_of(ours, base=SCALED, **cfg)
    for step in range(4):
        for model, wrapper in ((plain, one), (ours, other)):
            iteration(model, wrapper, case, [step, step + 1])
    assert scales(other) == {1024.0}
    for first, second in ((ours, plain), (other.weighting, one.weighting)):
        for name, param in first.named_parameters():
            expected = second.get_parameter(name)
            torch.testing.assert_close(param, expected, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.usefixtures('scaler_on_cpu')
@pytest.mark.parametrize('name', ['uncertainty', 'backbone', 'features', 'GradSplit, summed'])
def test_an_overflow_skips_the_update_and_lowers_the_scale(name: str) -> None:
    model = toy()
    case = dict(CASES[name])
    case.pop('accumulative_counts', None)
    wrapper = wrapper_of(
        model, **dict(name=None, base=SCALED, optimizer=dict(type='SGD', lr=0.1)) | case
    )
    before = values(model.parameters())
    head = model.tasks['norm'].head
    handle = head.register_forward_hook(lambda _, args, out: out * 1e200)
    iteration(model, wrapper, case, [0, 1])
    handle.remove()
    assert torch.equal(values(model.parameters()), before)
    assert scales(wrapper) == {512.0}
    iteration(model, wrapper, case, [0, 1])
    assert values(model.parameters()).isfinite().all()
    assert not torch.equal(values(model.parameters()), before)
