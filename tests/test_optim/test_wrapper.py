"""What all optimizer wrappers have in common: mmengine's base, the log, options, and the state."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn
from toy import assert_same_weights, begin, registered, task_step
from toy_aggregation import batch_of, joint_batch, joint_step, toy, values, weighted, wrapper_of
from toy_joint import TASKS
from toy_weighting import AMTL, DTP, GRADNORM, SINGLE

SGD = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.1)
STEPS = ([0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [1, 5, 9])

# ---- what mmengine's base does ----

BASES = {'single precision': 'OptimWrapper', 'bfloat16': 'AutocastOptimWrapper'}
OPTIONS: list[dict[str, Any]] = [
    {},
    dict(clip_grad=dict(max_norm=0.05)),
    dict(clip_grad=dict(type='value', clip_value=0.01), accumulative_counts=2),
]
# What each wrapper is called with one task, to do nothing of its own.
KINDS: dict[str, dict[str, Any]] = dict(
    MultiTaskOptimWrapper={},
    AggregatorOptimWrapper=dict(aggregator=dict(type='torchjd.Mean')),
    CosRegOptimWrapper=dict(on='backbone'),
    GradSplitOptimWrapper=dict(relations='all', modules=['conv'], optimizers='shared'),
)


def trained(kind: str, tasks: Sequence[str], task_steps: bool, **cfg: Any) -> nn.Module:
    """The network after five iterations, the last of which ends training."""
    model = toy(tasks=tasks).float()
    wrapper = registered(model, kind, optimizer=SGD, **cfg)
    begin(model, wrapper, total=len(STEPS), task_steps=task_steps)
    for samples in STEPS:
        if not task_steps:
            joint_step(model, wrapper, samples, tasks)
            continue
        batch = batch_of(samples)
        batch['inputs'] = [image.float() for image in batch['inputs']]
        for task in tasks:
            task_step(model, wrapper, dict(batch, task=task))
    return model


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize('task_steps', [False, True], ids=['joint', 'in turn'])
def test_uniform_weighting_trains_as_mmengine_bit_for_bit(
    task_steps: bool, base: str, options: dict
) -> None:
    plain = trained(BASES[base], TASKS, task_steps, **options)
    kind = 'MultiTaskOptimWrapper'
    ours = trained(kind, TASKS, task_steps, base=dict(type=BASES[base]), **options)
    assert_same_weights(ours, plain)
    assert not torch.equal(values(ours.parameters()), values(toy().float().parameters()))


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize('kind', KINDS)
def test_with_one_task_every_wrapper_trains_as_mmengine_bit_for_bit(
    kind: str, base: str, options: dict
) -> None:
    plain = trained(BASES[base], TASKS[:1], False, **options)
    own = KINDS[kind] | dict(base=dict(type=BASES[base]))
    assert_same_weights(trained(kind, TASKS[:1], False, **own, **options), plain)


# ---- options and the log ----


def test_learned_weights_have_options_of_their_own() -> None:
    def options(weighting: dict, **cfg: Any) -> dict[str, float]:
        wrapper = weighted(toy(), weighting, optimizer=SGD, **cfg)
        (learned,) = wrapper.weighting.parameters()
        groups = wrapper.base.optimizer.param_groups
        (found,) = (group for group in groups if any(param is learned for param in group['params']))
        return {key: found[key] for key in ('lr', 'weight_decay')}

    uncertainty = dict(type='torchjd.UW')
    keys = dict(custom_keys={'weighting': dict(lr_mult=4.0, decay_mult=0.0)})
    assert options(uncertainty) == dict(lr=0.05, weight_decay=0.1)
    assert options(uncertainty, paramwise_cfg=keys) == dict(lr=0.2, weight_decay=0.0)
    # The paper's rate, whatever that of the network.
    assert options(GRADNORM) == dict(lr=0.025, weight_decay=0.0)
    assert options(dict(GRADNORM, lr=0.1)) == dict(lr=0.1, weight_decay=0.0)


def test_rates_are_logged_by_name_where_there_are_several_optimizers() -> None:
    one = registered(toy(), 'MultiTaskOptimWrapper', optimizer=SGD)
    assert one.get_lr() == dict(lr=[0.05]) and one.get_momentum() == dict(momentum=[0.9])
    split = dict(relations='none', modules=['conv'], optimizer=SGD)
    several = registered(toy(), 'GradSplitOptimWrapper', **split)
    assert several.get_lr() == {f'{task}.lr': [0.05] for task in TASKS}
    assert several.get_momentum() == {f'{task}.momentum': [0.9] for task in TASKS}


def test_what_is_logged_of_a_step() -> None:
    model = toy()
    alone = [f'{task}/loss' for task in TASKS]
    weights = [f'weight/{task}' for task in TASKS]
    for weighting, more in ((None, []), (dict(type='torchjd.UW'), weights), (AMTL, weights)):
        wrapper = weighted(model, weighting)
        log = joint_step(model, wrapper, [0, 1])
        assert {'loss', *alone, *more} == {key for key in log if 'loss_square' not in key}
        # A task step has no loss of all tasks.
        begin(model, wrapper)
        log = task_step(model, wrapper, dict(batch_of([0, 1]), task='first'))
        assert {'first/loss', *more} == {key for key in log if 'loss_square' not in key}


def test_lambdas_of_the_uniform_weighting() -> None:
    """``1/T sum_t lambda_t l_t`` in joint training, ``lambda_t l_t`` in a task step."""
    weights = dict(add=2.0, norm=0.25)
    values = dict(zip(TASKS, (3.0, 5.0, 8.0), strict=True))
    losses = {task: torch.tensor(value) for task, value in values.items()}
    wrapper = weighted(toy(), dict(type='UniformWeighting', weights=weights))
    assert wrapper.weigh(losses).item() == pytest.approx((2 * 3 + 5 + 0.25 * 8) / 3)
    # A task without a sample adds nothing; it is still the mean over three.
    assert wrapper.weigh(dict(add=losses['add'])).item() == pytest.approx(2 * 3 / 3)
    begin(toy(), wrapper)
    for task, factor in (('add', 2.0), ('first', 1.0), ('norm', 0.25)):
        assert wrapper.weigh({task: losses[task]}).item() == factor * values[task]


# ---- the state ----


def written(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint has it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def advance(model: Any, wrapper: Any, number: int) -> None:
    """Two steps and the end of an epoch, with a validation, in turn."""
    if number % 3 == 2:
        wrapper.end_epoch()
        metrics = dict(zip(SINGLE, (40.0 + number, 60.0 - number, 35.0), strict=True))
        wrapper.validated(metrics, number)
        return
    samples = [number % 12, (number + 5) % 12]
    # In some steps a task has no sample.
    allocation = [[1, number % 4 != 0, 1]] * 2
    joint_step(model, wrapper, samples, allocation=allocation)
    if 'losses' in wrapper.needs:
        wrapper.revise(model.compute_losses(joint_batch(samples, allocation=allocation)).losses)


MEMORIES = [
    *(dict(type=f'torchjd.{name}') for name in ('UW', 'IMTLL', 'DWA', 'FAMO', 'GeometricMean')),
    GRADNORM,
    AMTL,
    DTP,
]


@pytest.mark.parametrize('weighting', MEMORIES, ids=lambda cfg: cfg['type'])
def test_training_goes_on_bit_for_bit(weighting: dict) -> None:
    """From any moment of two epochs, in a fresh wrapper, through a file."""
    cfg = dict(optimizer=SGD, clip_grad=dict(max_norm=1.0))
    whole = toy()
    wrapper = weighted(whole, weighting, **cfg)
    moments = []
    for number in range(12):
        state = written(dict(model=whole.state_dict(), wrapper=wrapper.state_dict()))
        moments.append((state, wrapper.validated_at))
        advance(whole, wrapper, number)
    for moment, (state, validated_at) in enumerate(moments):
        model = toy(seed=1)
        resumed = weighted(model, weighting, **cfg)
        model.load_state_dict(state['model'])
        resumed.load_state_dict(state['wrapper'])
        assert resumed.validated_at == validated_at
        begin(model, resumed, done=moment, task_steps=False)
        for number in range(moment, 12):
            advance(model, resumed, number)
        assert_same_weights(model, whole)
        for name, value in wrapper.weighting.named_parameters():
            assert torch.equal(resumed.weighting.get_parameter(name), value), f'{name}, {moment}'


@pytest.mark.parametrize('kind', ['OptimWrapper', *KINDS])
def test_counts_go_on_within_an_accumulation(kind: str) -> None:
    """The third of five steps comes after a checkpoint: it is the second of three of an update."""
    cfg = KINDS.get(kind, {}) | dict(optimizer=SGD, accumulative_counts=3)
    model = toy(tasks=TASKS[:1])

    def step(wrapper: Any, done: int, number: int) -> list[bool]:
        """Whether each of some steps is an update."""
        begin(model, wrapper, done=done, total=5, task_steps=False)
        moved = []
        for _ in range(number):
            before = values(model.parameters())
            joint_step(model, wrapper, [0, 1], TASKS[:1])
            moved.append(not torch.equal(values(model.parameters()), before))
        return moved

    wrapper = registered(model, kind, **cfg)
    assert step(wrapper, 0, 2) == [False, False]
    resumed = registered(model, kind, **cfg)
    resumed.load_state_dict(written(wrapper.state_dict()))
    # Steps, not iterations, count: in some there may be no sample for a task.
    done = 2 if kind == 'OptimWrapper' else 3
    assert step(resumed, done, 3) == [True, False, True]


METHODS: dict[str, dict[str, Any]] = {
    'plain': {},
    'uniform': dict(kind='MultiTaskOptimWrapper'),
    **{cfg['type']: dict(kind='MultiTaskOptimWrapper', weighting=cfg) for cfg in MEMORIES},
    **{f'torchjd.{name}': dict(name=name) for name in ('PCGrad', 'PCD', 'GradVac')},
    'CosReg': dict(kind='CosRegOptimWrapper'),
    'GradSplit': dict(kind='GradSplitOptimWrapper', **KINDS['GradSplitOptimWrapper']),
    'PCGrad of GradSplit': dict(
        kind='GradSplitOptimWrapper', update='iteration', aggregator=dict(type='torchjd.PCGrad'),
        **KINDS['GradSplitOptimWrapper'],
    ),
}  # fmt: skip


def test_the_state_of_another_method() -> None:
    wrappers, states = {}, {}
    for name, cfg in METHODS.items():
        model = toy()
        wrappers[name] = wrapper_of(model, optimizer=SGD, **dict(name=None) | cfg)
        if 'GradSplit' not in name:
            joint_step(model, wrappers[name], [0, 1, 2])
        states[name] = written(wrappers[name].state_dict())
    del wrappers['plain']  # mmengine's own, which refuses in its own words
    for ours, wrapper in wrappers.items():
        for other, state in states.items():
            if ours == other or (ours, other) == ('GradSplit', 'PCGrad of GradSplit'):
                wrapper.load_state_dict(state)
                continue
            with pytest.raises(ValueError, match=r'the checkpoint has .*; resume with the .*wrote'):
                wrapper.load_state_dict(state)


def test_the_state_of_other_parameters() -> None:
    model = toy()
    state = wrapper_of(model, None, kind='MultiTaskOptimWrapper').state_dict()
    other = wrapper_of(toy(backbone='ToyTwoLayers'), None, kind='MultiTaskOptimWrapper')
    with pytest.raises(ValueError, match=r'optimizers of other parameters: .*load_from'):
        other.load_state_dict(state)
