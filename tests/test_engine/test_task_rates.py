"""Tasks that take several task steps in a major iteration."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import assert_same, build, fails_before_the_first_step, load, quick, run
from mmengine.config import Config
from toy_joint import TASKS, ToyScenes, joint_config

from mmgradsplit.apis import train

DATA = ToyScenes()
TURNS = ['add', 'first', 'norm', 'add', 'norm', 'add']
SGD = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
SPLIT = dict(
    SGD, type='GradSplitOptimWrapper', relations='none', modules=['conv'], optimizers='separate'
)
# Three tasks, three filters of each: relations by which first's steps train add's filters, too.
SOME = dict(SPLIT, relations=[[0.0, -1, -1], [0, 0, -1], [-1, -1, 0]])


def in_turn(
    folder: Path, repeats: dict[str, Any], wrapper: dict, batch_size: int = 2, **options: Any
) -> Config:
    """Two epochs of three major iterations."""
    cfg = joint_config(folder, batch_size=batch_size, **options)
    cfg.train_dataloader = {
        task: dict(cfg.train_dataloader, **({'repeat': repeats[task]} if task in repeats else {}))
        for task in cfg.model.tasks
    }
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3)
    cfg.optim_wrapper = dict(wrapper)
    return cfg


REPEATS = dict(add=3, norm=2)


def taken(runner: Any) -> list[dict]:
    """The list to which each step will add its batch, and the backbone's weights after it."""
    steps: list[dict] = []
    step = runner.model.train_step

    def train_step(batch: dict, optim_wrapper: Any) -> dict:
        before = runner.model.backbone.conv.weight.detach().clone()
        rows = [x.clone() for x in batch['inputs']]
        logged = step(batch, optim_wrapper)
        after = runner.model.backbone.conv.weight.detach().clone()
        moved = (before != after).flatten(1).any(1).tolist()
        steps.append(dict(task=batch['task'], inputs=rows, moved=moved))
        return logged

    runner.model.train_step = train_step
    return steps


def test_steps_in_turn_each_on_the_next_batch_of_its_task(tmp_path: Path) -> None:
    runner = build(in_turn(tmp_path, REPEATS, SGD), tmp_path)
    steps = taken(runner)
    runner.train()
    assert [step['task'] for step in steps] == TURNS * 6
    assert runner.iter == 6
    for task, number in dict(add=3, first=1, norm=2).items():
        read = [step['inputs'] for step in steps if step['task'] == task]
        order = [index % 12 for index in range(2 * 6 * number)]
        expected = [[DATA[i]['inputs'] for i in order[n : n + 2]] for n in range(0, len(order), 2)]
        assert_same(read, expected)


def test_written_out(tmp_path: Path) -> None:
    """By plain SGD, against the same steps by autograd alone."""
    cfg = in_turn(tmp_path, REPEATS, dict(optimizer=dict(type='SGD', lr=0.05)))
    runner = build(cfg, tmp_path)
    params = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    position = dict.fromkeys(TASKS, 0)
    for task in TURNS * 6:
        rows = [DATA[(position[task] + i) % 12] for i in range(2)]
        position[task] += 2
        x = torch.stack([row['inputs'] for row in rows]).flatten(1)
        y = torch.stack([getattr(row['data_samples'], f'gt_{task}') for row in rows])
        names = ['backbone.conv.weight', 'backbone.conv.bias']
        names += [f'tasks.{task}.head.weight', f'tasks.{task}.head.bias']
        w, b, v, c = (params[name].requires_grad_() for name in names)
        out = torch.tanh(x @ w.flatten(1).T + b) @ v[0] + c
        found = torch.autograd.grad((out - y).square().mean(), [w, b, v, c])
        for name, gradient in zip(names, found, strict=True):
            params[name] = params[name].detach() - 0.05 * gradient
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(value, params[name].detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize('wrapper', [SGD, SPLIT, dict(SGD, type='MultiTaskOptimWrapper')])
def test_a_ratio_of_one_changes_nothing(wrapper: dict, tmp_path: Path) -> None:
    for name, repeats in (('none', {}), ('one', dict.fromkeys(TASKS, 1))):
        run(in_turn(tmp_path, repeats, wrapper), tmp_path / name)
    one, none = (load(tmp_path / name / 'epoch_2.pth') for name in ('one', 'none'))
    assert_same(one['state_dict'], none['state_dict'])
    assert_same(one['optimizer'], none['optimizer'])


def test_two_steps_of_one_task_are_two_iterations(tmp_path: Path) -> None:
    twice = in_turn(tmp_path, dict(add=2), SGD, tasks=('add',))
    longer = in_turn(tmp_path, {}, SGD, tasks=('add',))
    longer.train_cfg.iters_per_epoch = 6
    ours, theirs = (run(c, tmp_path / str(n)).model for n, c in enumerate((twice, longer)))
    assert_same(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(SGD, type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.DWA')),
        dict(SGD, type='MultiTaskOptimWrapper', weighting=dict(type='GradNormWeighting')),
        dict(SOME, accumulative_counts=2),
    ],
    ids=['DWA', 'GradNorm', 'GradSplit'],
)
def test_resumed_after_any_iteration(wrapper: dict, tmp_path: Path) -> None:
    cfg = in_turn(tmp_path, REPEATS, wrapper)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    run(cfg, tmp_path / 'whole')
    for iteration in range(1, 6):
        folder = tmp_path / str(iteration)
        run(cfg, folder, resume=tmp_path / f'whole/iter_{iteration}.pth')
        ours, theirs = (load(place / 'iter_6.pth') for place in (folder, tmp_path / 'whole'))
        assert_same(ours['state_dict'], theirs['state_dict'])
        assert_same(str(ours['optimizer']), str(theirs['optimizer']))


def test_every_step_keeps_to_the_mask(tmp_path: Path) -> None:
    runner = build(in_turn(tmp_path, REPEATS, SOME), tmp_path)
    steps = taken(runner)
    runner.train()
    # Filters 0 and 1 are add's, 2 and 3 first's, 4 and 5 norm's.
    trains = dict(add=[0, 1], first=[0, 1, 2, 3], norm=[4, 5])
    for step in steps:
        held = [index in trains[step['task']] for index in range(6)]
        assert step['moved'] == held


def test_accumulation_counts_the_steps_of_each_task(tmp_path: Path) -> None:
    """And the last step of all updates, though its task's steps are odd in number."""
    cfg = in_turn(tmp_path, dict(add=3), dict(SPLIT, accumulative_counts=2))
    cfg.train_cfg.update(max_epochs=1)
    runner = build(cfg, tmp_path)
    steps = taken(runner)
    runner.train()
    moved = {task: [any(step['moved']) for step in steps if step['task'] == task] for task in TASKS}
    assert moved['add'] == [False, True] * 4 + [True]
    assert moved['first'] == moved['norm'] == [False, True, True]


def rank_config(folder: Path, batch_size: int) -> Config:
    return in_turn(folder, REPEATS, SOME, batch_size=batch_size)


def train_rank(rank: int, folder: Path) -> None:
    with quick():
        runner = train(rank_config(folder, 2), work_dir=folder, launcher='pytorch')
    torch.save(runner.model.module.state_dict(), folder / f'{rank}.pt')


def test_two_processes_equal_one(tmp_path: Path) -> None:
    one = run(rank_config(tmp_path / 'one', 4), tmp_path / 'one').model.state_dict()
    on_two_ranks(functools.partial(train_rank), tmp_path / 'two')
    for rank in (0, 1):
        two = load(tmp_path / f'two/{rank}.pt')
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-10, atol=1e-12)


UPDATE = dict(SPLIT, optimizers='shared', update='iteration')
PCGRAD = dict(SGD, type='AggregatorOptimWrapper', aggregator=dict(type='torchjd.PCGrad'))


@pytest.mark.parametrize(
    ('wrapper', 'words'),
    [
        (UPDATE, r"optim_wrapper\.update='iteration' makes one update .*norm\.repeat is 2"),
        (PCGRAD, r'optim_wrapper\.aggregator \(PCGrad\) makes one update .*norm\.repeat is 2'),
    ],
)
def test_methods_that_want_one_step_of_each_task(wrapper: dict, words: str, tmp_path: Path) -> None:
    cfg = in_turn(tmp_path, dict(add=1, norm=2), wrapper)
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)
    run(in_turn(tmp_path, dict(add=1), wrapper), tmp_path / 'one')


@pytest.mark.parametrize('number', [0, 1.5, True, '2'])
def test_what_is_no_number_of_steps(number: Any, tmp_path: Path) -> None:
    cfg = in_turn(tmp_path, dict(norm=number), SGD)
    words = r'train_dataloader\.norm\.repeat is .* at least 1'
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)


def test_joint_training_has_no_task_steps_to_repeat(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, train_dataloader__repeat=2)
    words = r'train_dataloader\.repeat: only the tasks of RoundRobinTrainLoop.*RepeatDataset'
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)


def test_the_first_screen_says_the_steps(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, repeats in (('none', {}), ('some', REPEATS)):
        cfg = in_turn(tmp_path, repeats, SGD, log_level='INFO')
        cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
        run(cfg, tmp_path / name)
        screen = capsys.readouterr().out
        rows = {
            cells[0]: cells[-1]
            for line in screen.splitlines()
            if line.startswith('| ')
            for cells in [[cell.strip() for cell in line.strip('| ').split('|')]]
        }
        if repeats:
            assert rows['task'] == 'steps'
            assert [rows[task] for task in TASKS] == ['3', '1', '2']
        else:
            assert rows['task'] == 'batch size'
