"""Points 1, 2, 3, 6 and 7 of "GradSplit, exactly": what a task step moves, and what it must not.

Every case trains a few major iterations with real optimizers and looks at every parameter of the
model after every task step.
"""

import copy
import itertools

import pytest
import torch
from toy import (
    MASK,
    TASKS,
    assert_same_weights,
    build_wrapper,
    finish,
    held_channels,
    relations_of,
    snapshot,
    split_names,
    task_step,
    toy_batch,
    toy_model,
    train,
)

SGD = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.01)
ADAMW = dict(type='AdamW', lr=0.01, weight_decay=0.5)
ADAM = dict(type='Adam', lr=0.01, weight_decay=0.1)
BFLOAT16 = dict(type='AutocastOptimWrapper', dtype='bfloat16')
# Row t, column t': asymmetric, no task alike.
MASKS = (
    MASK,
    ((1, 1, 0), (0, 1, 0), (1, 0, 1)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
)


def assert_moves_exactly_what_it_may(model, wrapper, mask, split, steps=(0, 1, 2)):
    before = snapshot(model)
    for task in train(model, wrapper, steps):
        after = snapshot(model)
        for name, old in before.items():
            held = held_channels(name, len(old), TASKS.index(task), mask, split)
            kept = [c for c in range(len(old)) if c not in held]
            assert torch.equal(after[name][kept], old[kept]), f'{task} moved {name}'
            if held:
                n = len(old) // len(TASKS) if name in split else len(old)
                for group in {min(c // n, len(TASKS)) for c in held}:
                    own = [c for c in held if min(c // n, len(TASKS)) == group]
                    assert not torch.equal(after[name][own], old[own]), f'{task}: {name} stayed'
        before = after


@pytest.mark.parametrize(
    ('optimizer', 'base', 'optimizers', 'split_norm'),
    itertools.product((SGD, ADAMW, ADAM), ({}, BFLOAT16), ('separate', 'shared'), (False, True)),
    ids=lambda value: value.get('type', 'float32') if isinstance(value, dict) else str(value),
)
def test_masked_groups_stay_bit_for_bit(optimizer, base, optimizers, split_norm):
    seed = ('SGD', 'AdamW', 'Adam').index(optimizer['type'])
    mask = MASKS[seed]
    model = toy_model(seed=seed)
    wrapper = build_wrapper(
        model,
        optimizer=optimizer,
        base=base,
        optimizers=optimizers,
        split_norm=split_norm,
        relations=relations_of(mask),
    )
    split = split_names(model, 'layer4', norms=split_norm)
    assert_moves_exactly_what_it_may(model, wrapper, mask, split)


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
@pytest.mark.parametrize(
    'cfg',
    [
        dict(clip_grad=dict(max_norm=0.01)),
        dict(clip_grad=dict(type='value', clip_value=1e-4)),
        dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.99, nesterov=True, weight_decay=20.0)),
        dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=50.0, amsgrad=True)),
        dict(optimizer=dict(type='RMSprop', lr=0.001, momentum=0.9, weight_decay=1.0)),
    ],
    ids=['clip_norm', 'clip_value', 'nesterov', 'amsgrad', 'rmsprop'],
)
def test_no_optimizer_or_clipping_moves_masked_groups(cfg, optimizers):
    model = toy_model()
    wrapper = build_wrapper(
        model, **{'optimizer': SGD, **cfg}, optimizers=optimizers, relations=relations_of(MASKS[0])
    )
    split = split_names(model, 'layer4')
    assert_moves_exactly_what_it_may(model, wrapper, MASKS[0], split, steps=(0, 1))


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_momentum_built_up_by_large_gradients_does_not_move_masked_groups(optimizers):
    model = toy_model()
    wrapper = build_wrapper(
        model,
        optimizer=dict(type='SGD', lr=1e-4, momentum=0.999, weight_decay=1.0),
        optimizers=optimizers,
        relations=relations_of(MASKS[0]),
    )
    for step, task in itertools.product(range(3), TASKS):
        loss = model.parse_losses(model(**toy_batch(task, step), mode='loss'))[0]
        wrapper.update_tasks({task: 1e3 * loss})
    split = split_names(model, 'layer4')
    assert_moves_exactly_what_it_may(model, wrapper, MASKS[0], split, steps=(3, 4))


@pytest.mark.parametrize(
    ('modules', 'roots'),
    [
        (['layer3', 'layer4'], ['layer3', 'layer4']),
        (['layer[34]'], ['layer3', 'layer4']),
        (['layer[234]'], ['layer2', 'layer3', 'layer4']),
        (['layer[1234]'], ['layer1', 'layer2', 'layer3', 'layer4']),
        (['layer4.0.conv2'], ['layer4.0.conv2']),
        (['layer4.*.conv1', 'layer3.1'], ['layer4.0.conv1', 'layer4.1.conv1', 'layer3.1']),
        ([], []),
    ],
    ids=str,
)
def test_only_the_named_modules_are_split(modules, roots):
    mask = MASKS[0]
    model = toy_model()
    wrapper = build_wrapper(model, optimizer=SGD, modules=modules, relations=relations_of(mask))
    split = split_names(model, *roots)
    assert len(split) >= len(roots)
    assert_moves_exactly_what_it_may(model, wrapper, mask, split, steps=(0, 1))


def test_biases_are_split_with_their_weights():
    mask = MASKS[2]
    model = toy_model()
    conv = model.backbone.layer4[1].conv2
    conv.bias = torch.nn.Parameter(torch.randn(64))
    wrapper = build_wrapper(model, optimizer=ADAMW, relations=relations_of(mask))
    split = split_names(model, 'layer4')
    assert 'backbone.layer4.1.conv2.bias' in split
    assert_moves_exactly_what_it_may(model, wrapper, mask, split)


def test_every_task_trains_the_filters_left_over():
    """64 filters of three tasks: 21 each, and the last one is everybody's."""
    model = toy_model()
    wrapper = build_wrapper(model, optimizer=ADAM, relations='none')
    weight = model.backbone.layer4[0].conv1.weight
    before = weight.detach().clone()
    for task in train(model, wrapper, [0]):
        moved = [c for c in range(64) if not torch.equal(weight[c], before[c])]
        first = 21 * TASKS.index(task)
        assert moved == [*range(first, first + 21), 63]
        before = weight.detach().clone()


def test_with_an_infinite_threshold_a_group_moves_in_its_own_steps_alone():
    model = toy_model()
    wrapper = build_wrapper(
        model, optimizer=SGD, threshold=float('inf'), relations=[[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    )
    split = split_names(model, 'layer4')
    assert_moves_exactly_what_it_may(model, wrapper, MASKS[2], split)


def test_frozen_parameters_stay_frozen():
    model = toy_model()
    for param in model.backbone.layer4[0].parameters():
        param.requires_grad_(False)
    wrapper = build_wrapper(model, optimizer=SGD, relations='none')
    before = snapshot(model.backbone.layer4[0])
    finish(model, wrapper, [0, 1])
    after = snapshot(model.backbone.layer4[0])
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize('optimizers', ['separate', 'shared'])
def test_parameters_state_dict_and_forward_are_those_of_the_plain_model(optimizers):
    plain, split = toy_model(), toy_model()
    wrapper = build_wrapper(split, optimizer=SGD, optimizers=optimizers, split_norm=True)
    names = [(name, param.shape) for name, param in plain.named_parameters()]
    assert [(name, param.shape) for name, param in split.named_parameters()] == names
    assert_same_weights(split, plain)
    finish(split, wrapper, [0])
    plain.load_state_dict(split.state_dict(), strict=True)
    for model in (plain, split):
        model.eval()
    for task in TASKS:
        inputs = toy_batch(task, 5)['inputs']
        assert torch.equal(split(inputs, task=task), plain(inputs, task=task))


def test_every_parameter_is_held_once_by_the_optimizers_that_move_it():
    model = toy_model()
    wrapper = build_wrapper(model, optimizer=SGD, relations=relations_of(MASKS[0]))
    for number, task in enumerate(TASKS):
        groups = wrapper.optim_wrappers[task].optimizer.param_groups
        held = [param for group in groups for param in group['params']]
        split = split_names(model, 'layer4')
        expected = sum(
            len(held_channels(name, len(param), number, MASKS[0], split)) * param[0].numel()
            for name, param in model.named_parameters()
        )
        assert sum(param.numel() for param in held) == expected
        assert len({id(param) for param in held}) == len(held)


def test_weights_that_two_layers_share_take_one_step():
    """As with the constructor of mmengine."""

    def tied():
        model = toy_model()
        model.backbone.layer4[1].conv2.weight = model.backbone.layer4[1].conv1.weight
        return model

    model = tied()
    bare = copy.deepcopy(model)
    wrapper = build_wrapper(model, optimizer=dict(type='SGD', lr=0.1), relations='all')
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.1)
    batch = toy_batch('red', 0)
    task_step(model, wrapper, batch)
    bare.parse_losses(bare(**batch, mode='loss'))[0].backward()
    optimizer.step()
    assert_same_weights(model, bare)
