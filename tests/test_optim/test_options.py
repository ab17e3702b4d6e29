"""Point 9: accumulation, clipping, paramwise_cfg, schedulers and checkpoints."""

import copy
import io

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import PARAM_SCHEDULERS
from toy import (
    MASK,
    TASKS,
    assert_close,
    assert_same_weights,
    begin,
    build_wrapper,
    finish,
    gradients,
    held_channels,
    relations_of,
    snapshot,
    split_names,
    task_step,
    toy_batch,
    toy_model,
    train,
)

LR = 0.05
RELATIONS = relations_of(MASK)
DOUBLE = torch.float64


def descend(model, task, grads):
    """Plain descent of what a task step may move."""
    split = split_names(model, 'layer4')
    with torch.no_grad():
        for name, grad in grads.items():
            held = held_channels(name, len(grad), TASKS.index(task), MASK, split)
            model.get_parameter(name)[held] -= LR * grad[held]


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_accumulation_takes_the_mean_of_a_tasks_micro_batches(optimizers):
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type='SGD', lr=LR),
        optimizers=optimizers,
        accumulative_counts=2,
        relations=RELATIONS,
    )
    begin(ours, wrapper, total=5)
    # Five major iterations: two updates of two micro-batches, and the last one on its own.
    for steps in ((0, 1), (2, 3), (4,)):
        for number, step in enumerate(steps):
            before = snapshot(ours)
            finish(ours, wrapper, [step], DOUBLE)
            if number < len(steps) - 1:
                assert all(torch.equal(v, before[name]) for name, v in ours.state_dict().items())
        first = {task: [gradients(theirs, task, step) for step in steps[:-1]] for task in TASKS}
        for task in TASKS:
            # The last micro-batch sees the parameters that the tasks before it have moved.
            parts = [*first[task], gradients(theirs, task, steps[-1])]
            mean = {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
            descend(theirs, task, mean)
        assert_close(ours, theirs)


def test_accumulation_with_eq_4_sums_the_tasks_means():
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type='SGD', lr=LR),
        optimizers='shared',
        update='iteration',
        accumulative_counts=2,
        relations=RELATIONS,
    )
    finish(ours, wrapper, range(4), DOUBLE)
    for steps in ((0, 1), (2, 3)):
        means = {}
        for task in TASKS:
            parts = [gradients(theirs, task, step) for step in steps]
            means[task] = {name: (parts[0][name] + parts[1][name]) / 2 for name in parts[0]}
        for task, mean in means.items():
            descend(theirs, task, mean)  # plain descent is linear: the sum, one after another
    assert_close(ours, theirs)


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
@pytest.mark.parametrize('max_norm', [0.1, 1e6])
def test_clipping_is_over_what_the_task_moves(optimizers, max_norm):
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type='SGD', lr=LR),
        optimizers=optimizers,
        clip_grad=dict(max_norm=max_norm),
        relations=RELATIONS,
    )
    split = split_names(theirs, 'layer4')
    norms = []
    for step in range(3):
        for task in train(ours, wrapper, [step], DOUBLE):
            grads = gradients(theirs, task, step)
            norm = 0.0
            for name, grad in grads.items():
                held = held_channels(name, len(grad), TASKS.index(task), MASK, split)
                norm += grad[held].square().sum().item()
            norms.append(norm**0.5)
            scale = min(1.0, max_norm / (norm**0.5 + 1e-6))
            descend(theirs, task, {name: scale * grad for name, grad in grads.items()})
            logged = MessageHub.get_current_instance().get_scalar('train/grad_norm').current()
            assert logged == pytest.approx(norms[-1])
    assert_close(ours, theirs)
    assert min(norms) > 0.1  # so 0.1 did clip


def moved(paramwise_cfg=None, weight_decay=0.0, split_norm=False):
    """How far one task step of the first task moves each parameter, by name."""
    model = toy_model(DOUBLE)
    start = snapshot(model)
    wrapper = build_wrapper(
        model,
        paramwise_cfg,
        optimizer=dict(type='SGD', lr=LR, weight_decay=weight_decay),
        relations=RELATIONS,
        split_norm=split_norm,
    )
    task_step(model, wrapper, toy_batch('red', 0, dtype=DOUBLE))
    return {name: value - start[name] for name, value in model.state_dict().items()}


def test_custom_keys_reach_the_filter_groups():
    plain = moved()
    ours = moved(
        dict(
            custom_keys={
                'backbone.layer4': dict(lr_mult=0.5),
                'backbone.layer4.0.conv2': dict(lr_mult=0.0),
                'tasks.red': dict(lr_mult=10.0),
            }
        )
    )
    for name, move in plain.items():
        factor = 10.0 if name.startswith('tasks.red') else 1.0
        if name.startswith('backbone.layer4'):
            factor = 0.0 if name.startswith('backbone.layer4.0.conv2') else 0.5
        torch.testing.assert_close(ours[name], factor * move, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize('split_norm', [False, True])
def test_norms_without_weight_decay(split_norm):
    plain, decayed = moved(split_norm=split_norm), moved(weight_decay=2.0, split_norm=split_norm)
    ours = moved(dict(norm_decay_mult=0.0), weight_decay=2.0, split_norm=split_norm)
    for name in plain:
        expected = plain if any(key in name for key in ('.gn', 'downsample.1')) else decayed
        torch.testing.assert_close(ours[name], expected[name], rtol=1e-9, atol=1e-12, msg=name)
    assert not torch.equal(decayed['backbone.gn1.weight'], plain['backbone.gn1.weight'])


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_param_schedulers_scale_the_learning_rate_of_every_task(optimizers):
    model = toy_model()
    wrapper = build_wrapper(
        model,
        dict(custom_keys={'backbone.layer4': dict(lr_mult=0.5)}),
        optimizer=dict(type='SGD', lr=LR),
        optimizers=optimizers,
        relations=RELATIONS,
    )
    cfg = dict(type='MultiStepLR', milestones=[1, 2], gamma=0.1, by_epoch=False)
    schedulers = {
        name: PARAM_SCHEDULERS.build(dict(cfg), default_args=dict(optimizer=one))
        for name, one in wrapper.items()
    }
    names = dict.fromkeys(['shared'], 'lr')
    if optimizers == 'separate':
        names = {task: f'{task}.lr' for task in TASKS}
    assert list(schedulers) == list(names)
    for factor in (1.0, 0.1, 0.01):
        rates = wrapper.get_lr()
        for name in names.values():  # as they are logged
            assert sorted(set(rates[name])) == pytest.approx([0.5 * LR * factor, LR * factor])
        for scheduler in schedulers.values():
            scheduler.step()


def test_a_learning_rate_of_zero_stops_every_task():
    model = toy_model()
    wrapper = build_wrapper(model, optimizer=dict(type='AdamW', lr=LR), relations=RELATIONS)
    for one in wrapper.values():
        cfg = dict(type='ConstantLR', factor=0.0, begin=0, end=9, by_epoch=False)
        PARAM_SCHEDULERS.build(cfg, default_args=dict(optimizer=one))
    before = copy.deepcopy(model)
    finish(model, wrapper, [0, 1])
    assert_same_weights(model, before)


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
@pytest.mark.parametrize('kind', ['SGD', 'AdamW'])
@pytest.mark.parametrize('counts', [1, 2])
def test_a_checkpoint_continues_bit_for_bit(optimizers, kind, counts):
    """Saved after three major iterations: with two micro-batches an update, within one."""
    options = dict(momentum=0.9) if kind == 'SGD' else {}
    cfg = dict(
        optimizer=dict(type=kind, lr=LR, weight_decay=0.1, **options),
        optimizers=optimizers,
        accumulative_counts=counts,
        relations=RELATIONS,
        weighting=dict(type='torchjd.UW'),
    )
    model = toy_model()
    wrapper = build_wrapper(model, **cfg)
    begin(model, wrapper, total=6)
    finish(model, wrapper, range(3))
    file = io.BytesIO()
    torch.save(dict(model=model.state_dict(), optimizer=wrapper.state_dict()), file)
    finish(model, wrapper, range(3, 6))

    file.seek(0)
    checkpoint = torch.load(file, weights_only=False)
    resumed = toy_model(seed=1)
    other = build_wrapper(resumed, **cfg)
    resumed.load_state_dict(checkpoint['model'])
    other.load_state_dict(checkpoint['optimizer'])
    begin(resumed, other, done=3, total=6)
    finish(resumed, other, range(3, 6))
    assert_same_weights(resumed, model)
    learned, expected = (one.weighting.scalarizer.log_var for one in (other, wrapper))
    assert torch.equal(learned, expected) and (learned != 0).all()


def test_loading_leaves_the_checkpoint_as_it_is():
    model = toy_model()
    wrapper = build_wrapper(model, accumulative_counts=2)
    finish(model, wrapper, [0])
    state = wrapper.state_dict()
    assert all(state['pending'][task] for task in TASKS)
    before = copy.deepcopy(state)
    wrapper.load_state_dict(state)
    assert str(state) == str(before)


def test_a_checkpoint_of_tasks_in_another_order():
    state = dict(build_wrapper(toy_model()).state_dict(), tasks=[*reversed(TASKS)])
    with pytest.raises(ValueError, match=r'order is that of the filter groups.*resume with'):
        build_wrapper(toy_model()).load_state_dict(state)


def test_a_checkpoint_of_other_optimizers():
    separate = build_wrapper(toy_model(), optimizers='separate').state_dict()
    with pytest.raises(ValueError, match=r"'blue', 'green', 'red'.*'shared'.*optim_wrapper"):
        build_wrapper(toy_model(), optimizers='shared').load_state_dict(separate)


def test_weights_replaced_after_the_build_are_linked_again():
    """``model.to(...)`` or an assigned ``data`` gives a parameter new storage."""
    ours, theirs = toy_model(), toy_model()
    wrappers = [build_wrapper(model, relations=RELATIONS) for model in (ours, theirs)]
    for param in ours.parameters():
        param.data = param.data.clone()
    for model, wrapper in zip((ours, theirs), wrappers, strict=True):
        begin(model, wrapper)
        finish(model, wrapper, [0, 1])
    assert_same_weights(ours, theirs)
