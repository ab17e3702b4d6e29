"""Joint training, STA and ISTA against the paper's algorithms written out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import assert_same, build, load, quick, run, scalars
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.optim import SGD
from toy_joint import TASKS, ToyScenes, ToyStack, ToyTask, joint_config

from mmgradsplit.apis import train
from mmgradsplit.models import MultiTaskModel

DATA = ToyScenes()


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The batches that the model is trained on, with their allocations."""
    batches: list[dict] = []
    plain = MultiTaskModel.train_step

    def train_step(self: MultiTaskModel, data: dict, optim_wrapper: Any) -> dict:
        batches.append(data)
        return plain(self, data, optim_wrapper)

    monkeypatch.setattr(MultiTaskModel, 'train_step', train_step)
    return batches


def initial(cfg: Any, folder: Path) -> dict[str, torch.Tensor]:
    """Weights before training."""
    runner = build(cfg, folder)
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def algorithm(
    weights: dict[str, torch.Tensor], tasks: tuple[str, ...], steps: list[dict], lr: float
) -> dict[str, torch.Tensor]:
    """Algorithm 1 of the paper, sample by sample; a sub-step of Algorithm 2 is the same.

    A step whose allocation is to a single task is that task's step, where each has its own.
    """
    w = {name: value.clone().requires_grad_() for name, value in weights.items()}
    for step in steps:
        total = torch.zeros((), dtype=torch.float64)
        for t, task in enumerate(tasks):
            own = []
            for i, (x, sample) in enumerate(zip(step['inputs'], step['data_samples'], strict=True)):
                if step['allocation'][i, t]:
                    kernel = w['backbone.conv.weight'].flatten(1)
                    z = torch.tanh(kernel @ x.flatten() + w['backbone.conv.bias'])
                    out = w[f'tasks.{task}.head.weight'][0] @ z + w[f'tasks.{task}.head.bias'][0]
                    own.append((out - getattr(sample, f'gt_{task}')) ** 2)
            if own:
                total = total + sum(own) / len(own)
        gradients = torch.autograd.grad(total / len(tasks), list(w.values()), allow_unused=True)
        for value, gradient in zip(w.values(), gradients, strict=True):
            if gradient is not None:
                value.data -= lr * gradient
    return w


@pytest.mark.parametrize(
    ('allocator', 'number', 'sub_steps'),
    [
        (dict(type='STA'), 2, 1),
        (dict(type='STA'), 3, 1),
        (dict(type='STA', size=2), 3, 1),
        (dict(type='ISTA'), 2, 2),
        (dict(type='ISTA'), 3, 3),
        (dict(type='ISTA', size=2), 3, 2),
        (dict(type='ISTA', size=2), 2, 1),
    ],
)
def test_algorithms_of_the_paper(
    allocator: dict, number: int, sub_steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = TASKS[:number]
    cfg = joint_config(tmp_path / 'run', tasks, train_cfg__allocator=allocator)
    before = initial(cfg, tmp_path / 'initial')
    steps = recorded(monkeypatch)
    runner = run(cfg, tmp_path / 'run')
    assert len(steps) == 2 * 3 * sub_steps
    size = allocator.get('size', 1)
    for first in range(0, len(steps), sub_steps):
        given = [step['allocation'] for step in steps[first : first + sub_steps]]
        assert all((part.sum(1) <= size).all() for part in given)
        if allocator['type'] == 'ISTA':
            assert (sum(part.astype(int) for part in given) == 1).all()
        else:
            assert (given[0].sum(1) == size).all()
    expected = algorithm(before, tasks, steps, lr=0.05)
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(value, expected[name].detach(), rtol=1e-12, atol=1e-13)


def test_wrappers_by_task_update_in_their_own_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OptimWrapperDict of mmengine's: a step of each task, on the samples allocated to it."""
    runner = build(
        joint_config(tmp_path, TASKS[:2], train_cfg__allocator=dict(type='STA')), tmp_path
    )
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    params = list(runner.model.parameters())
    runner.optim_wrapper = OptimWrapperDict(
        **{task: OptimWrapper(SGD(params, lr=0.05)) for task in TASKS[:2]}
    )
    steps = recorded(monkeypatch)
    runner.train()
    assert len(steps) == 2 * 3 * 2
    for one, other in zip(steps[::2], steps[1::2], strict=True):
        assert not one['allocation'][:, 1].any() and not other['allocation'][:, 0].any()
        assert (one['allocation'].sum(1) + other['allocation'].sum(1) == 1).all()
    expected = algorithm(before, TASKS[:2], steps, lr=0.05)
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(value, expected[name].detach(), rtol=1e-12, atol=1e-13)


def test_heads_see_only_their_samples_and_the_backbone_runs_once(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, TASKS[:2], train_cfg__allocator=dict(type='ISTA'))
    model = run(cfg, tmp_path).model
    assert model.backbone.calls == [4] * 12  # 2 epochs, 3 batches, 2 sub-steps
    # Half of the head's work: each sample once an iteration and task, over the two sub-steps.
    assert sum(model.tasks['add'].seen) == sum(model.tasks['first'].seen) == 2 * 12
    assert max(model.tasks['add'].seen) <= 4


@pytest.mark.parametrize('kind', ['OptimWrapper', 'MultiTaskOptimWrapper'])
def test_full_task_is_the_plain_multi_task_loss(kind: str, tmp_path: Path) -> None:
    wrapper = dict(type=kind, optimizer=dict(type='Adam', lr=0.01))
    cfg = joint_config(tmp_path / 'run', optim_wrapper=wrapper)
    plain = build(joint_config(tmp_path / 'plain'), tmp_path / 'plain').model
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    for _ in range(2):
        for first in range(0, 12, 4):
            batch = [DATA[i] for i in range(first, first + 4)]
            samples = [part['data_samples'] for part in batch]
            outputs = plain(
                torch.stack([part['inputs'] for part in batch]),
                dict.fromkeys(TASKS, samples),
                mode='loss',
            )
            optimizer.zero_grad()
            (sum(part['loss_square'] for part in outputs.values()) / 3).backward()
            optimizer.step()
    trained = run(cfg, tmp_path / 'run').model
    assert_same(trained.state_dict(), plain.state_dict())


def test_a_resumed_run_allocates_the_same(tmp_path: Path) -> None:
    for name, allocator in (('ista', dict(type='ISTA')), ('gap', dict(type='STA', gap=2))):
        cfg = joint_config(tmp_path, batch_size=3, train_cfg__allocator=allocator)
        cfg.train_cfg.update(max_epochs=3, iters_per_epoch=5)  # epochs end within a gap
        cfg.optim_wrapper.optimizer.momentum = 0.9
        whole, parts = tmp_path / f'{name}_whole', tmp_path / f'{name}_parts'
        run(cfg, whole)
        for epochs in (1, 2, 3):
            run(cfg, parts, resume='auto', cfg_options={'train_cfg.max_epochs': epochs})
        ours, theirs = (load(f / 'epoch_3.pth')['state_dict'] for f in (parts, whole))
        assert_same(ours, theirs)


def test_a_batch_comes_again_after_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = joint_config(tmp_path, batch_size=2, train_cfg__allocator=dict(type='STA', gap=3))
    cfg.train_cfg.update(max_epochs=2, iters_per_epoch=9)
    steps = recorded(monkeypatch)
    run(cfg, tmp_path)
    first = [float(step['inputs'][0].sum()) for step in steps]
    block = [float(DATA[i]['inputs'].sum()) for i in range(0, 12, 2)]
    assert first == [*block[:3] * 2, *block[3:] * 2, *block[:3] * 2]
    pairs = [(steps[i]['allocation'], steps[i + 3]['allocation']) for i in (0, 1, 2, 6, 7, 8)]
    assert any((one != other).any() for one, other in pairs)


def test_ranks_and_iterations_draw_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(rank: int) -> list[np.ndarray]:
        monkeypatch.setattr('mmgradsplit.engine.loops.joint.get_rank', lambda: rank)
        cfg = joint_config(tmp_path, batch_size=12, train_cfg__allocator=dict(type='STA'))
        runner = build(cfg, tmp_path / str(rank))
        loop = runner.build_train_loop(runner.cfg.train_cfg)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
        loop.begin()
        found = []
        for loop._iter in range(3):
            batch = dict(data_samples=[DATA[i]['data_samples'] for i in range(12)])
            found += [step.batch['allocation'] for step in loop.steps(dict(joint=batch))]
        return found

    zero, again, one = draws(0), draws(0), draws(1)
    assert all((a == b).all() for a, b in zip(zero, again, strict=True))
    assert all((a != b).any() for a, b in zip(zero, one, strict=True))
    assert (zero[0] != zero[1]).any()


def test_missing_annotations_are_never_allocated(tmp_path: Path) -> None:
    given = {'0': ('add',), '1': ('first', 'norm'), '2': ()}
    cfg = joint_config(
        tmp_path,
        batch_size=3,
        train_cfg__allocator=dict(type='ISTA'),
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        train_dataloader__dataset__given=given,
    )
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    model = run(cfg, tmp_path).model
    # A missing one would be an AttributeError in the task's loss.
    assert [sum(model.tasks[task].seen) for task in TASKS] == [1, 1, 1]


def weighted(kind: str, **options: Any) -> dict[str, Any]:
    """An optimizer wrapper with a weighting."""
    return dict(type='MultiTaskOptimWrapper', weighting=dict(type=kind, **options))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(train_cfg__allocator=dict(type='STA', size=4)), r'STA\)\.size must be from 1'),
        (dict(train_cfg__allocator=dict(type='ISTA', size=0)), r'ISTA\)\.size must be from 1'),
        (dict(train_cfg__allocator=dict(type='STA', gap=0)), r'gap must be at least 1'),
        (
            dict(train_cfg__allocator=dict(type='STA', weights=dict(add=1, depth=2))),
            r"weights must have a positive number for each.*'norm'",
        ),
        (dict(train_cfg__annotations=dict(add='gt_add')), 'annotations must name a field for each'),
        (
            dict(train_cfg__annotations=dict(add='gt_add', first='gt_first', norm='gt_none')),
            r"no sample is annotated for the tasks \['norm'\].*gt_none",
        ),
        (
            dict(model__tasks__norm__data_preprocessor=dict(type='BaseDataPreprocessor')),
            'tasks.norm.data_preprocessor differs',
        ),
        (dict(optim_wrapper=weighted('torchjd.FAMOS')), r"did you mean 'torchjd\.FAMO'"),
        (
            dict(optim_wrapper=weighted('UniformWeighting', weights=dict(depth=2))),
            r"weights names \['depth'\]",
        ),
    ],
)
def test_what_does_not_fit(tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        runner = build(joint_config(tmp_path, **options), tmp_path)
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


def test_accumulated_steps_equal_one_on_the_joined_batch(tmp_path: Path) -> None:
    """Two batches of three, and one update from their mean."""
    options = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9), accumulative_counts=2)
    parts = joint_config(tmp_path, batch_size=3, optim_wrapper=options)
    joined = joint_config(
        tmp_path, batch_size=6, optim_wrapper=dict(options, accumulative_counts=1)
    )
    ours, theirs = (
        run(cfg, tmp_path / name).model.state_dict()
        for name, cfg in (('parts', parts), ('joined', joined))
    )
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu(alone=False)
def test_ema_averages_after_each_iteration(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []
    plain = EMAHook.after_train_iter

    def after(self: EMAHook, runner: Runner, *args: Any, **kwargs: Any) -> None:
        seen.append(runner.model.backbone.conv.weight.detach().clone())
        plain(self, runner, *args, **kwargs)

    ema = dict(type='EMAHook', momentum=0.25)
    cfg = joint_config(tmp_path, train_cfg__allocator=dict(type='ISTA'), custom_hooks=[ema])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EMAHook, 'after_train_iter', after)
        run(cfg, tmp_path)
    assert len(seen) == 6  # iterations, of three sub-steps each
    average = seen[0]
    for value in seen[1:]:
        average = 0.75 * average + 0.25 * value
    # The checkpoint holds the averages as its weights.
    saved = load(tmp_path / 'epoch_2.pth')['state_dict']['backbone.conv.weight']
    torch.testing.assert_close(saved, average, rtol=1e-12, atol=0)


@pytest.mark.parametrize('allocator', [dict(type='ISTA'), dict(type='STA', size=2, gap=1)])
def test_a_preprocessor_that_works_in_place_starts_from_the_same(
    allocator: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step of a batch preprocesses it anew: an annotation is doubled once."""
    plain_stack, plain_task = ToyStack.forward, ToyTask.forward
    seen: set[float] = set()

    def double(self: ToyStack, data: dict, training: bool = False) -> dict:
        for sample in data['data_samples']:
            sample.gt_add.mul_(2)
        return plain_stack(self, data, training)

    def look(self: ToyTask, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if self.field == 'gt_add':
            seen.update(float(sample.gt_add) for sample in data_samples)
        return plain_task(self, inputs, data_samples, mode)

    monkeypatch.setattr(ToyStack, 'forward', double)
    monkeypatch.setattr(ToyTask, 'forward', look)
    run(joint_config(tmp_path, TASKS[:2], train_cfg__allocator=allocator), tmp_path)
    doubled = {2 * float(DATA[i]['data_samples'].gt_add) for i in range(len(DATA))}
    assert seen and seen <= doubled


def test_weights_of_the_losses(tmp_path: Path) -> None:
    wrapper = weighted('UniformWeighting', weights=dict(add=2.0, norm=0.5))
    cfg = joint_config(tmp_path, optim_wrapper=wrapper)
    run(cfg, tmp_path)
    for line in scalars(tmp_path):
        parts = [line[f'{task}/loss_square'] for task in TASKS]
        expected = (2 * parts[0] + parts[1] + 0.5 * parts[2]) / 3
        assert line['loss'] == pytest.approx(expected, rel=1e-5)


def test_uncertainty_weights_are_learned(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, optim_wrapper=weighted('torchjd.UW'))
    run(cfg, tmp_path)
    lines = scalars(tmp_path)
    # The first loss: 1/2 exp(-s) l + s/2 with s = 0.
    first = sum(lines[0][f'{task}/loss_square'] for task in TASKS)
    assert lines[0]['loss'] == pytest.approx(first / 2, rel=1e-5)
    saved = load(tmp_path / 'epoch_2.pth')
    assert (saved['optimizer']['weighting']['scalarizer.log_var'] != 0).all()
    # The network has no method.
    plain = build(joint_config(tmp_path), tmp_path).model.state_dict()
    assert list(saved['state_dict']) == list(plain)


def test_gradsplit_masks_the_task_gradients(tmp_path: Path) -> None:
    # Negative relations between all tasks: a filter group moves in its own task's steps alone.
    options = dict(
        train_cfg__allocator=dict(type='STA'),
        optim_wrapper=dict(
            type='GradSplitOptimWrapper',
            optimizer=dict(type='SGD', lr=0.05),
            relations='none',
            modules=['conv'],
        ),
    )
    cfg = joint_config(tmp_path, **options)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    # Only 'first' has annotations in the batch.
    cfg.train_cfg.annotations = {task: f'gt_{task}' for task in TASKS}
    cfg.train_dataloader.dataset.given = {str(i): ('first',) for i in range(4)}
    before = initial(cfg, tmp_path / 'initial')
    after = run(cfg, tmp_path / 'run').model.state_dict()
    moved = (after['backbone.conv.weight'] != before['backbone.conv.weight']).flatten(1).any(1)
    assert moved.tolist() == [False, False, True, True, False, False]


# Rank 0 has the even samples. In the second batch rank 1 has no annotation at all.
GIVEN = {
    '0': ('add',), '1': ('first',), '2': ('add', 'norm'), '3': ('first', 'norm'), '4': ('add',),
    '5': ('norm',), '7': (), '9': (), '11': (),
}  # fmt: skip


def uneven_config(folder: Path, batch_size: int) -> Any:
    cfg = joint_config(
        folder,
        batch_size=batch_size,
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        train_dataloader__dataset__given=GIVEN,
    )
    cfg.train_cfg.max_epochs = 1
    return cfg


def train_rank(rank: int, folder: Path) -> None:
    with quick():
        runner: Runner = train(uneven_config(folder, 3), work_dir=folder, launcher='pytorch')
    torch.save(runner.model.module.state_dict(), folder / f'{rank}.pt')


def test_two_processes_equal_one_with_uneven_allocations(tmp_path: Path) -> None:
    on_two_ranks(train_rank, tmp_path / 'two')
    one = run(uneven_config(tmp_path / 'one', batch_size=6), tmp_path / 'one').model.state_dict()
    for rank in (0, 1):
        two = load(tmp_path / f'two/{rank}.pt')
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-10, atol=1e-12)
