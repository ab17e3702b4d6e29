"""An aggregator on what GradSplit's mask leaves of the task gradients."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torchjd.aggregation
from fixtures_training import load, run
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
    toy_model,
)
from toy_aggregation import wrapper_of
from toy_joint import joint_config

LR = 0.05
DOUBLE = torch.float64
CLOSE = dict(rtol=1e-9, atol=1e-12)


def split_wrapper(model: Any, name: str | None, mask: Any = MASK, **cfg: Any) -> Any:
    options = dict(optimizer=dict(type='SGD', lr=LR), optimizers='shared', update='iteration')
    if name is not None:
        options['aggregator'] = dict(type=f'torchjd.{name}')
    return build_wrapper(model, relations=relations_of(mask), **options, **cfg)


def train(model: Any, wrapper: Any, steps: Sequence[int]) -> None:
    finish(model, wrapper, steps, DOUBLE)


def channels(model: Any) -> list[tuple[str, int, list[int]]]:
    """Name, channel and the tasks that may move it, of every channel in the backbone."""
    split = split_names(model, 'layer4')
    found = []
    for name, param in model.named_parameters():
        if not name.startswith('backbone.'):
            continue
        held = [held_channels(name, len(param), task, MASK, split) for task in range(len(TASKS))]
        for channel in range(len(param)):
            found.append((name, channel, [t for t in range(len(TASKS)) if channel in held[t]]))
    return found


def masked_rows(model: Any) -> tuple[torch.Tensor, list[int]]:
    """The masked task gradients of a major iteration, channel by channel, and tasks a column."""
    rows, movers = [], []
    for index, task in enumerate(TASKS):
        given = gradients(model, task, 0)
        row = []
        for name, channel, tasks in channels(model):
            part = given[name][channel].flatten()
            row.append(part if index in tasks else torch.zeros_like(part))
            if index == 0:
                movers += [len(tasks)] * part.numel()
        rows.append(torch.cat(row))
    return torch.stack(rows), movers


def backbone(model: Any) -> torch.Tensor:
    params = dict(model.named_parameters())
    return torch.cat(
        [params[name][channel].detach().clone().flatten() for name, channel, _ in channels(model)]
    )


@pytest.mark.parametrize('name', ['UPGrad', 'MGDA', 'AlignedMTL'])
def test_the_masked_rows_are_aggregated_on_what_several_tasks_train(name: str) -> None:
    model = toy_model(DOUBLE)
    rows, movers = masked_rows(model)
    several = torch.tensor(movers) > 1
    expected = rows.sum(0)  # what one task trains has its own gradient
    expected[several] = getattr(torchjd.aggregation, name)()(rows[:, several])
    wrapper = split_wrapper(model, name)
    before = backbone(model)
    train(model, wrapper, [0])
    torch.testing.assert_close(before - backbone(model), LR * expected, **CLOSE)


def test_the_sum_is_equation_4() -> None:
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    train(ours, split_wrapper(ours, 'Sum'), range(3))
    train(theirs, split_wrapper(theirs, None), range(3))
    assert_close(ours, theirs)


def test_with_a_mask_of_ones_it_is_the_plain_aggregator() -> None:
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    train(ours, split_wrapper(ours, 'UPGrad', mask=((1, 1, 1),) * 3), range(3))
    plain = wrapper_of(theirs, 'UPGrad', task_steps=True, optimizer=dict(type='SGD', lr=LR))
    train(theirs, plain, range(3))
    assert_close(ours, theirs)


def test_a_group_of_one_task_is_trained_as_without_an_aggregator() -> None:
    identity = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ours, theirs = toy_model(DOUBLE), toy_model(DOUBLE)
    train(ours, split_wrapper(ours, 'PCGrad', identity), [0])
    train(theirs, split_wrapper(theirs, None, identity), [0])
    same = [
        torch.equal(ours.get_parameter(name)[channel], theirs.get_parameter(name)[channel])
        for name in sorted(split_names(ours, 'layer4'))
        for channel in range(len(TASKS) * (len(ours.get_parameter(name)) // len(TASKS)))
    ]
    assert same and all(same)
    conv1 = 'backbone.conv1.weight'
    assert not torch.equal(ours.get_parameter(conv1), theirs.get_parameter(conv1))


def test_a_state_goes_with_the_checkpoint() -> None:
    whole, parts = toy_model(DOUBLE), toy_model(DOUBLE)
    train(whole, split_wrapper(whole, 'NashMTL'), range(4))
    wrapper = split_wrapper(parts, 'NashMTL')
    train(parts, wrapper, range(2))
    later = toy_model(DOUBLE)
    later.load_state_dict(snapshot(parts))
    resumed = split_wrapper(later, 'NashMTL')
    resumed.load_state_dict(wrapper.state_dict())
    begin(later, resumed, done=2)
    train(later, resumed, range(2, 4))
    assert_same_weights(later, whole)


def joint(folder: Path, **options: Any) -> dict:
    """Two epochs of joint training with STA, in which tasks often have no sample."""
    cfg = joint_config(folder, batch_size=1, **options)
    cfg.optim_wrapper = dict(
        type='GradSplitOptimWrapper', optimizer=dict(type='SGD', lr=LR, momentum=0.9),
        relations='all', modules=['conv'], optimizers='shared', update='iteration',
    )  # fmt: skip
    run(cfg, folder)
    return load(folder / 'epoch_2.pth')['state_dict']


def test_an_update_for_each_step_though_the_last_task_has_no_sample(tmp_path: Path) -> None:
    """With a mask of ones the sum of the task gradients is the gradient of the loss."""
    sta = dict(train_cfg__allocator=dict(type='STA'))
    ours = joint(tmp_path / 'ours', **sta)
    plain = joint_config(tmp_path / 'plain', batch_size=1, **sta)
    plain.optim_wrapper.optimizer.update(lr=LR, momentum=0.9)
    run(plain, tmp_path / 'plain')
    theirs = load(tmp_path / 'plain' / 'epoch_2.pth')['state_dict']
    shared = {key: value for key, value in theirs.items() if key.startswith('backbone')}
    assert shared
    for key, value in shared.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.parametrize('cfg', [dict(), dict(optimizers='shared')])
def test_it_needs_one_update_for_all_tasks(cfg: dict) -> None:
    with pytest.raises(ValueError, match=r"aggregator needs.*optim_wrapper\.update='iteration'"):
        build_wrapper(toy_model(), aggregator=dict(type='torchjd.PCGrad'), relations='all', **cfg)


def test_nothing_shared_to_aggregate() -> None:
    model = toy_model()
    model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match='nothing to aggregate'):
        split_wrapper(model, 'PCGrad', ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
