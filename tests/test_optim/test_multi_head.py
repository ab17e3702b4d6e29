"""Points 4 and 8: the multi-head baseline as a bare PyTorch loop, and Eq. 4 written out."""

import itertools
from contextlib import nullcontext

import pytest
import torch
from toy import (
    MASK,
    TASKS,
    assert_close,
    assert_same_weights,
    build_wrapper,
    finish,
    gradients,
    held_channels,
    relations_of,
    split_names,
    toy_batch,
    toy_loss,
    toy_model,
    train,
)

OPTIMIZERS = {
    'SGD': dict(lr=0.05, momentum=0.9, weight_decay=0.01),
    'AdamW': dict(lr=0.01, weight_decay=0.5),
    'Adam': dict(lr=0.01, weight_decay=0.1),
}
BFLOAT16 = dict(type='AutocastOptimWrapper', dtype='bfloat16')
LR = 0.05


@pytest.mark.parametrize(
    ('kind', 'amp', 'optimizers', 'relations'),
    itertools.product(OPTIMIZERS, (False, True), ('separate', 'shared'), ('all', 'matrix')),
)
def test_mask_of_ones_is_a_bare_loop_bit_for_bit(kind, amp, optimizers, relations):
    ours, bare = toy_model(), toy_model()
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type=kind, **OPTIMIZERS[kind]),
        base=BFLOAT16 if amp else {},
        optimizers=optimizers,
        relations='all' if relations == 'all' else [[-1.0] * 3] * 3,
        threshold=float('-inf'),
        split_norm=relations == 'matrix',
    )
    build = getattr(torch.optim, kind)
    if optimizers == 'shared':
        every = build(bare.parameters(), **OPTIMIZERS[kind])
        optims = dict.fromkeys(TASKS, every)
    else:
        optims = {
            task: build(
                [*bare.backbone.parameters(), *bare.tasks[task].parameters()], **OPTIMIZERS[kind]
            )
            for task in TASKS
        }
    for step in range(3):
        finish(ours, wrapper, [step])
        for task, optim in optims.items():
            bare.zero_grad(set_to_none=True)
            with torch.autocast('cpu', dtype=torch.bfloat16) if amp else nullcontext():
                loss = toy_loss(bare, toy_batch(task, step))
            loss.backward()
            optim.step()
        assert_same_weights(ours, bare)


def masked_gradients(model, step, mask, split):
    """Eq. 4's sum for every parameter: tasks' gradients at the same parameters, under the mask."""
    total = {name: torch.zeros_like(param) for name, param in model.named_parameters()}
    for number, task in enumerate(TASKS):
        for name, grad in gradients(model, task, step).items():
            held = held_channels(name, len(grad), number, mask, split)
            total[name][held] += grad[held]
    return total


@pytest.mark.parametrize('split_norm', [False, True])
@pytest.mark.parametrize(
    'mask',
    [MASK, ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1,) * 3,) * 3],
    ids=['asymmetric', 'identity', 'ones'],
)
@pytest.mark.parametrize('momentum', [0.0, 0.9])
def test_update_by_iteration_is_eq_4(mask, split_norm, momentum):
    ours, theirs = toy_model(torch.float64), toy_model(torch.float64)
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type='SGD', lr=LR, momentum=momentum),
        optimizers='shared',
        update='iteration',
        relations=relations_of(mask),
        split_norm=split_norm,
    )
    split = split_names(theirs, 'layer4', norms=split_norm)
    velocity = {name: torch.zeros_like(p) for name, p in theirs.named_parameters()}
    for step in range(3):
        finish(ours, wrapper, [step], torch.float64)
        total = masked_gradients(theirs, step, mask, split)
        with torch.no_grad():
            for name, param in theirs.named_parameters():
                velocity[name] = momentum * velocity[name] + total[name]
                param -= LR * velocity[name]
        assert_close(ours, theirs)


def test_update_by_iteration_moves_nothing_before_the_last_task():
    model = toy_model()
    wrapper = build_wrapper(model, optimizers='shared', update='iteration', relations='all')
    start = toy_model()
    for task in train(model, wrapper, [0]):
        if task != TASKS[-1]:
            assert_same_weights(model, start)
    assert not torch.equal(model.backbone.conv1.weight, start.backbone.conv1.weight)


@pytest.mark.parametrize('split_norm', [False, True])
def test_update_by_step_is_masked_descent_one_task_after_another(split_norm):
    ours, theirs = toy_model(torch.float64), toy_model(torch.float64)
    wrapper = build_wrapper(
        ours,
        optimizer=dict(type='SGD', lr=LR),
        relations=relations_of(MASK),
        split_norm=split_norm,
    )
    split = split_names(theirs, 'layer4', norms=split_norm)
    for step in range(3):
        finish(ours, wrapper, [step], torch.float64)
        for number, task in enumerate(TASKS):
            for name, grad in gradients(theirs, task, step).items():
                held = held_channels(name, len(grad), number, MASK, split)
                with torch.no_grad():
                    theirs.get_parameter(name)[held] -= LR * grad[held]
    assert_close(ours, theirs)
