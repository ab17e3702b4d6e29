"""Aggregators against matrices of task gradients made by plain autograd, in float64."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchjd.aggregation
from torch import Tensor
from torchjd.autojac import jac_to_grad, mtl_backward
from toy import assert_close
from toy_aggregation import (
    ARGUMENTS,
    gradient,
    joint_batch,
    joint_step,
    task_loss,
    task_matrix,
    toy,
    values,
    weighted,
    wrapper_of,
)
from toy_joint import TASKS

from mmgradsplit.optim.aggregation.aggregators import known_aggregators

SAMPLES = [0, 1, 2, 3]
CLOSE = dict(rtol=1e-10, atol=1e-12)
STOCHASTIC = ('GradDrop', 'GradVac', 'PCGrad', 'Random')


def by_torchjd(name: str, tasks: Any = TASKS) -> Any:
    """TorchJD's aggregator, built without a config."""
    options = dict(ARGUMENTS.get(name, {}))
    if name == 'Constant':
        options['weights'] = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    if name == 'NashMTL':
        options['n_tasks'] = len(tasks)
    return getattr(torchjd.aggregation, name)(**options)


def moved(model: Any, params: Any, step: Callable[[], None]) -> Tensor:
    """How far SGD with lr=1 moves parameters: their gradient."""
    params = list(params)
    before = values(params)
    step()
    return before - values(params)


# ---- joint training ----


@pytest.mark.parametrize('name', [n for n in known_aggregators() if n not in STOCHASTIC])
@pytest.mark.parametrize('weights', [{}, dict(add=2.0, norm=0.25)])
def test_shared_gradient_is_the_aggregate_of_weighted_task_gradients(
    name: str, weights: dict[str, float]
) -> None:
    model = toy()
    expected = by_torchjd(name)(task_matrix(model, SAMPLES, factors=weights))
    own = {
        task: weights.get(task, 1.0)
        / len(TASKS)
        * gradient(task_loss(model, task, SAMPLES)[0], model.tasks[task].parameters())
        for task in TASKS
    }
    weighting = dict(type='UniformWeighting', weights=weights)
    wrapper = wrapper_of(model, name, weighting=weighting)
    before = {task: values(model.tasks[task].parameters()) for task in TASKS}
    found = moved(model, model.backbone.parameters(), lambda: joint_step(model, wrapper, SAMPLES))
    torch.testing.assert_close(found, expected, **CLOSE)
    for task in TASKS:
        change = before[task] - values(model.tasks[task].parameters())
        torch.testing.assert_close(change, own[task], **CLOSE)


@pytest.mark.parametrize(
    ('name', 'weighting'),
    [
        ('Mean', None),
        ('Mean', dict(type='UniformWeighting', weights=dict(first=3.0))),
        ('Mean', dict(type='torchjd.GeometricMean')),
        ('Sum', dict(type='torchjd.UW')),
        ('Sum', dict(type='torchjd.IMTLL')),
        ('Sum', dict(type='torchjd.DWA')),
        ('Sum', dict(type='GradNormWeighting')),
    ],
)
def test_mean_or_sum_trains_as_without_an_aggregator(name: str, weighting: dict | None) -> None:
    plain, ours = toy(), toy()
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.1)
    options = dict(weighting=weighting, optimizer=optimizer, clip_grad=dict(max_norm=0.5))
    wrappers = [weighted(plain, **options), wrapper_of(ours, name, **options)]
    for step in range(4):
        for model, wrapper in zip((plain, ours), wrappers, strict=True):
            joint_step(model, wrapper, [step, step + 4, step + 8])
    assert_close(ours, plain)
    assert_close(*(wrapper.weighting for wrapper in wrappers))


def of_two_tasks(name: str, **aggregator: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What is made of two task gradients of different length at an obtuse angle; and the two."""
    weights = dict(first=1.5)
    model = toy(tasks=TASKS[:2])
    one, two = task_matrix(model, SAMPLES, TASKS[:2], factors=weights)
    assert one @ two < 0
    options = dict(
        aggregator=dict(type=f'torchjd.{name}', **aggregator),
        weighting=dict(type='UniformWeighting', weights=weights),
    )
    wrapper = wrapper_of(model, name, **options)
    found = moved(
        model, model.backbone.parameters(), lambda: joint_step(model, wrapper, SAMPLES, TASKS[:2])
    )
    return found, one, two


def test_two_task_pcgrad_in_closed_form() -> None:
    found, one, two = of_two_tasks('PCGrad')
    expected = one - (one @ two) / (two @ two) * two + two - (one @ two) / (one @ one) * one
    torch.testing.assert_close(found, expected, **CLOSE)


def test_two_task_mgda_in_closed_form() -> None:
    found, one, two = of_two_tasks('MGDA', epsilon=1e-12)
    share = (((two - one) @ two) / ((two - one) @ (two - one))).clamp(0, 1)
    torch.testing.assert_close(found, share * one + (1 - share) * two, **CLOSE)


def test_graddrop_keeps_one_sign_of_each_value() -> None:
    model = toy()
    matrix = task_matrix(model, SAMPLES)
    wrapper = wrapper_of(model, 'GradDrop')
    found = moved(model, model.backbone.parameters(), lambda: joint_step(model, wrapper, SAMPLES))
    up, down = matrix.clamp(min=0).sum(0), matrix.clamp(max=0).sum(0)
    assert (torch.isclose(found, up, **CLOSE) | torch.isclose(found, down, **CLOSE)).all()
    assert (found > 0).any() and (found < 0).any()


@pytest.mark.parametrize('name', ['UPGrad', 'AlignedMTL', 'ConFIG'])
def test_torchjd_finds_the_same_by_its_own_backward_pass(name: str) -> None:
    model, other = toy(), toy()
    found = moved(
        model,
        model.backbone.parameters(),
        lambda: joint_step(model, wrapper_of(model, name), SAMPLES),
    )
    (features,) = other.backbone(torch.stack(joint_batch(SAMPLES)['inputs']))
    samples = joint_batch(SAMPLES)['data_samples']
    losses = []
    for task in TASKS:
        out = other.tasks[task].head(features.flatten(1))[:, 0]
        target = torch.stack([getattr(sample, f'gt_{task}') for sample in samples])
        losses.append((out - target).square().mean())
    shared = list(other.backbone.parameters())
    mtl_backward(losses, features=features, shared_params=shared)
    jac_to_grad(shared, by_torchjd(name))
    torch.testing.assert_close(found, torch.cat([p.grad.flatten() for p in shared]), **CLOSE)


@pytest.mark.parametrize(('on', 'passes'), [('backbone', 3), ('features', 1)])
def test_heads_go_back_once_each(on: str, passes: int) -> None:
    model = toy()
    wrapper = wrapper_of(model, 'UPGrad', on=on)
    counts = dict.fromkeys(['backbone', *TASKS], 0)

    def count(name: str) -> Callable:
        def forward(module: Any, args: tuple, out: Tensor) -> None:
            def back(_: Tensor) -> None:
                counts[name] += 1

            out.register_hook(back)

        return forward

    model.backbone.conv.register_forward_hook(count('backbone'))
    for task in TASKS:
        model.tasks[task].head.register_forward_hook(count(task))
    joint_step(model, wrapper, SAMPLES)
    assert counts == {'backbone': passes, **dict.fromkeys(TASKS, 1)}
    assert model.backbone.calls == [4]


@pytest.mark.parametrize('name', ['MGDA', 'UPGrad', 'IMTLG', 'ConFIG', 'TrimmedMean', 'Mean'])
def test_on_features(name: str) -> None:
    model = toy()
    rows = []
    for task in TASKS:
        loss, features = task_loss(model, task, SAMPLES)
        rows.append(gradient(loss, [features]))
    _, features = task_loss(model, 'add', SAMPLES)
    joined = by_torchjd(name)(torch.stack(rows)).view(features.shape)
    params = list(model.backbone.parameters())
    expected = gradient((features * joined).sum(), params)
    wrapper = wrapper_of(model, name, on='features')
    found = moved(model, params, lambda: joint_step(model, wrapper, SAMPLES))
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize('backbone', ['ToyTrunk', 'ToyPyramid'])
def test_the_mean_on_features_trains_as_without_an_aggregator(backbone: str) -> None:
    model = toy(backbone=backbone)
    # The first output takes part in the loss of one task, the second in that of another.
    if backbone == 'ToyPyramid':
        model.tasks['norm'].head = torch.nn.Linear(5, 1).double()
        model.tasks['norm'].backbone.register_forward_hook(lambda _, args, out: out[::-1])
    plain = copy.deepcopy(model)
    for _ in range(2):
        joint_step(model, wrapper_of(model, 'Mean', on='features'), SAMPLES)
        joint_step(plain, wrapper_of(plain, None), SAMPLES)
    assert_close(model, plain)


@pytest.mark.parametrize('on', ['last_layer', ['la*']])
def test_on_the_last_layer_the_rest_is_trained_as_without_an_aggregator(on: Any) -> None:
    model = toy(backbone='ToyTwoLayers')
    first, last = (list(part.parameters()) for part in model.backbone.children())
    expected = by_torchjd('UPGrad')(task_matrix(model, SAMPLES, params=last))
    plain = task_matrix(model, SAMPLES, params=first).mean(0)
    wrapper = wrapper_of(model, 'UPGrad', on=on)
    found = moved(model, [*first, *last], lambda: joint_step(model, wrapper, SAMPLES))
    torch.testing.assert_close(found, torch.cat([plain, expected]), **CLOSE)


def test_a_task_without_a_sample_has_no_row() -> None:
    model = toy()
    matrix = task_matrix(model, SAMPLES, ['add', 'norm'])
    wrapper = wrapper_of(model, 'MGDA')
    head = values(model.tasks['first'].parameters())
    found = moved(
        model,
        model.backbone.parameters(),
        lambda: joint_step(model, wrapper, SAMPLES, allocation=[[1, 0, 1]] * 4),
    )
    torch.testing.assert_close(found, by_torchjd('MGDA')(matrix), **CLOSE)
    assert torch.equal(values(model.tasks['first'].parameters()), head)


@pytest.mark.parametrize('name', ['PCD', 'NashMTL'])
def test_a_state_for_every_task_needs_every_task(name: str) -> None:
    model = toy()
    with pytest.raises(ValueError, match=rf"{name} keeps a state.*\['add', 'norm'\] had"):
        joint_step(model, wrapper_of(model, name), SAMPLES, allocation=[[1, 0, 1]] * 4)


@pytest.mark.parametrize('on', ['backbone', ['conv']])
def test_accumulated_steps_equal_one_on_the_joined_batch(on: Any) -> None:
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9)
    parts, joined = toy(), toy()
    # The fifth step is an update of its own, as it is the last.
    accumulated = dict(accumulative_counts=2, total=5)
    many = wrapper_of(parts, 'UPGrad', on=on, optimizer=optimizer, **accumulated)
    one = wrapper_of(joined, 'UPGrad', on=on, optimizer=optimizer)
    for samples in ([0, 1], [2, 3], [4, 5], [6, 7], [8, 9]):
        joint_step(parts, many, samples)
    for samples in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]):
        joint_step(joined, one, samples)
    assert_close(parts, joined)


def test_the_update_is_clipped_as_a_whole() -> None:
    model = toy()
    wrapper = wrapper_of(model, 'Sum', clip_grad=dict(max_norm=0.01))
    found = moved(model, model.parameters(), lambda: joint_step(model, wrapper, SAMPLES))
    assert found.norm().item() == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize('name', known_aggregators())
@pytest.mark.parametrize('on', ['backbone', 'features'])
def test_every_aggregator_trains(name: str, on: str) -> None:
    model = toy()
    if (name, on) == ('ExcessMTL', 'features'):
        with pytest.raises(ValueError, match='a value for each parameter'):
            wrapper_of(model, name, on=on)
        return
    wrapper = wrapper_of(model, name, on=on, optimizer=dict(type='SGD', lr=0.01))
    before = values(model.parameters())
    for step in range(20):
        joint_step(model, wrapper, [step % 12, (step + 5) % 12, (step + 7) % 12])
    after = values(model.parameters())
    assert after.isfinite().all()
    assert (after != before).all()


def test_draws_are_those_of_the_seed_and_leave_the_generator_as_it_was() -> None:
    ends = []
    for seed in (1, 1, 2):
        model = toy()
        wrapper = wrapper_of(model, 'GradDrop', optimizer=dict(type='SGD', lr=0.1))
        torch.manual_seed(seed)
        joint_step(model, wrapper, SAMPLES)
        ends.append((values(model.parameters()), torch.rand(1)))
    assert torch.equal(ends[0][0], ends[1][0]) and torch.equal(ends[0][1], ends[1][1])
    assert not torch.equal(ends[0][0], ends[2][0])
