"""DropGrad: gradient times Bernoulli(1 - p) / (1 - p), on the modules that are split."""

import copy
from pathlib import Path

import pytest
import torch
from fixtures_training import assert_same, load, run, tiny_config, write_data
from torch import nn
from toy import (
    TASKS,
    assert_same_weights,
    build_wrapper,
    finish,
    gradients,
    split_names,
    task_step,
    toy_batch,
    toy_model,
)

from mmgradsplit.optim.grad_split.drop_grad import DropGrad

LR = 0.1


def dropped_step(rate: float, seed: int = 0, **cfg):
    """The model before and after a plain step of the first task, and its gradients there."""
    model = toy_model(torch.float64)
    before = copy.deepcopy(model)
    cfg = dict(optimizer=dict(type='SGD', lr=LR), relations='all', drop_grad=rate, **cfg)
    wrapper = build_wrapper(model, **cfg)
    torch.manual_seed(seed)
    task_step(model, wrapper, toy_batch('red', 0, dtype=torch.float64))
    return before, model, gradients(before, 'red', 0)


@pytest.mark.parametrize('rate', [0.5, 0.75])
def test_each_element_is_dropped_or_scaled(rate):
    before, after, grads = dropped_step(rate)
    split = split_names(before, 'layer4')
    kept = total = 0
    for name, grad in grads.items():
        step = (before.get_parameter(name) - after.get_parameter(name)).detach() / LR
        if name not in split:
            torch.testing.assert_close(step, grad, rtol=1e-7, atol=1e-12, msg=name)
            continue
        there = (step != 0) & (grad.abs() > 1e-9)
        torch.testing.assert_close(step[there], grad[there] / (1 - rate), rtol=1e-5, atol=1e-12)
        kept += int(there.sum())
        total += int((grad.abs() > 1e-9).sum())
    # 5 standard deviations of the binomial distribution.
    deviation = (total * rate * (1 - rate)) ** 0.5
    assert total > 50_000
    assert abs(kept - total * (1 - rate)) < 5 * deviation


def test_the_share_is_the_same_in_every_filter():
    """Dropped "randomly from every filter" (section 4.4), not by filter."""
    before, after, grads = dropped_step(0.5)
    weight = 'backbone.layer4.1.conv2.weight'
    there = (grads[weight] != 0).flatten(1)
    moved = (after.get_parameter(weight) != before.get_parameter(weight)).flatten(1)
    share = moved.sum(1) / there.sum(1)  # of hundreds of elements a filter
    assert there.sum(1).min() > 200
    assert ((share > 0.35) & (share < 0.65)).all()


def test_the_mean_gradient_stays():
    param = nn.Parameter(torch.zeros(60))
    grad = torch.randn(60)
    drop = DropGrad([param], 0.75)
    total = torch.zeros(60)
    for _ in range(3000):
        param.grad = grad.clone()
        drop()
        total += param.grad
    # A single one is sqrt(p / (1 - p)) of the gradient away; their mean, sqrt(3000) times less.
    assert (total / 3000 - grad).norm() < 2 * (3 / 3000) ** 0.5 * grad.norm()


def test_norms_are_dropped_with_split_norm_only():
    name = 'backbone.layer4.1.gn2.weight'
    for split_norm, some in ((False, False), (True, True)):
        before, after, grads = dropped_step(0.5, split_norm=split_norm)
        still = after.get_parameter(name) == before.get_parameter(name)
        assert (still & (grads[name] != 0)).any().item() is some


def test_masks_follow_the_global_generator():
    steps = [dropped_step(0.5, seed)[1] for seed in (1, 1, 2)]
    assert_same_weights(steps[0], steps[1])
    weight = 'backbone.layer4.0.conv1.weight'
    assert not torch.equal(steps[0].get_parameter(weight), steps[2].get_parameter(weight))


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_a_rate_of_zero_is_the_multi_head_baseline_bit_for_bit(optimizers):
    models = []
    for cfg in (dict(drop_grad=0.0), {}):
        model = toy_model()
        adam = dict(type='Adam', lr=0.01, weight_decay=0.1)
        wrapper = build_wrapper(
            model, optimizer=adam, relations='all', optimizers=optimizers, **cfg
        )
        state = torch.get_rng_state()
        finish(model, wrapper, range(2))
        assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
        models.append(model)
    assert_same_weights(*models)


def test_it_combines_with_a_relation_mask():
    """What may not move stays; of the rest, a part is dropped."""
    model = toy_model()
    wrapper = build_wrapper(model, relations='none', drop_grad=0.5)
    weight = model.backbone.layer4[0].conv1.weight
    before = weight.detach().clone()
    for number, task in enumerate(TASKS):
        task_step(model, wrapper, toy_batch(task, 0))
        moved = (weight != before).flatten(1).double().mean(1)
        own = slice(number * 21, (number + 1) * 21)
        others = [c for c in range(63) if not own.start <= c < own.stop]
        assert (moved[own] > 0.2).all()
        assert (moved[own] < 0.8).all()
        assert not moved[others].any()
        before = weight.detach().clone()


def test_a_resumed_run_drops_what_it_would_have_dropped(tmp_path: Path):
    data = write_data(tmp_path / 'data')
    cfg = tiny_config(data, ('attribute', 'reid'))
    cfg.optim_wrapper.update(relations='all', drop_grad=0.5)
    run(copy.deepcopy(cfg), tmp_path / 'whole', validate=False)
    first = copy.deepcopy(cfg)
    first.train_cfg.max_epochs = 1
    run(first, tmp_path / 'parts', validate=False)
    run(cfg, tmp_path / 'parts', validate=False, resume='auto')
    whole, parts = (load(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'parts'))
    for key in ('state_dict', 'optimizer'):
        assert_same(whole[key], parts[key], key)


@pytest.mark.parametrize('rate', [-0.1, 1.0, 2, float('nan')])
def test_a_share_out_of_range(rate):
    with pytest.raises(ValueError, match=r'optim_wrapper\.drop_grad.*\[0, 1\)'):
        build_wrapper(toy_model(), drop_grad=rate)
