"""Weightings on two ranks, in the task steps of round-robin training, and on real metrics."""

from pathlib import Path

import pytest
import torch
from fixtures_dense import dense_config, write_nyud
from fixtures_ranks import on_two_ranks
from fixtures_training import assert_same, load, quick, run, scalars
from mmengine.config import Config
from mmengine.runner import Runner
from toy_aggregation import batch_of, task_loss, toy, weighted
from toy_joint import TASKS
from toy_weighting import AMTL, DTP, GRADNORM, GRADSPLIT, config, numbers

from mmgradsplit.apis import train

# Rank 0 has the even samples. In the second batch rank 1 has no annotation at all.
GIVEN = {
    '0': ('add',), '1': ('first',), '2': ('add', 'norm'), '3': ('first', 'norm'), '4': ('add',),
    '5': ('norm',), '7': (), '9': (), '11': (),
}  # fmt: skip
# With one optimizer, or with GradSplit: a step of each task.
RANKS = [
    (dict(type='torchjd.UW'), False),
    (dict(type='torchjd.GeometricMean'), False),
    (dict(type='torchjd.GeometricMean'), True),
    (dict(type='torchjd.DWA'), False),
    (dict(type='torchjd.FAMO'), False),
    (dict(type='torchjd.Random'), False),
    (GRADNORM, False),
    (GRADNORM, True),
    (AMTL, False),
    (AMTL, True),
]


def uneven_config(folder: Path, number: int, batch_size: int) -> Config:
    weighting, gradsplit = RANKS[number]
    cfg = config(
        folder,
        weighting,
        validated=weighting is AMTL,
        batch_size=batch_size,
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        train_dataloader__dataset__given=GIVEN,
    )
    cfg.train_cfg.max_epochs = 4
    if gradsplit:
        cfg.optim_wrapper = dict(GRADSPLIT, weighting=weighting)
    return cfg


def end_of(runner: Runner) -> dict:
    """The network, and the weighting in the wrapper."""
    model = getattr(runner.model, 'module', runner.model)
    return dict(model=model.state_dict(), weighting=runner.optim_wrapper.weighting.state_dict())


def train_rank(rank: int, folder: Path) -> None:
    for number in range(len(RANKS)):
        place = folder / str(number)
        cfg = uneven_config(place, number, batch_size=3)
        cfg.experiment_name = f'two_{number}'
        with quick():
            runner: Runner = train(cfg, work_dir=place, launcher='pytorch')
        torch.save(end_of(runner), place / f'{rank}.pt')
        del runner


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """A weighting sees the losses of all ranks; rank 1 has no sample at all in some steps."""
    on_two_ranks(train_rank, tmp_path / 'two')
    for number, (weighting, gradsplit) in enumerate(RANKS):
        folder = tmp_path / f'one_{number}'
        one = end_of(run(uneven_config(folder, number, batch_size=6), folder))
        two = [load(tmp_path / f'two/{number}/{rank}.pt') for rank in (0, 1)]
        label = f'{weighting}, GradSplit: {gradsplit}'
        assert_same(numbers(two[0]), numbers(two[1]), label)
        for part in one:
            for name, value in one[part].items():
                if isinstance(value, torch.Tensor):
                    torch.testing.assert_close(
                        two[0][part][name],
                        value,
                        rtol=1e-5,
                        atol=1e-6,
                        equal_nan=True,
                        msg=f'{label}, {name}',
                    )


@pytest.mark.parametrize(
    'weighting',
    [dict(type='torchjd.UW'), dict(type='torchjd.DWA'), GRADNORM, AMTL, DTP],
    ids=lambda w: w['type'],
)
def test_task_steps(weighting: dict, tmp_path: Path) -> None:
    cfg = config(tmp_path, weighting, validated=weighting in (AMTL, DTP))
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=4, iters_per_epoch=3)
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    run(cfg, whole)
    lines = [line for line in scalars(whole) if 'add/loss' in line]
    assert len(lines) == 12
    for task in TASKS:  # the log has the tasks' own losses, and their weights
        assert all(line[f'{task}/loss'] == line[f'{task}/loss_square'] for line in lines)
        assert len({line[f'weight/{task}'] for line in lines}) > 1
    assert not any('loss' in line for line in lines)
    run(cfg, part, resume=whole / 'epoch_3.pth')
    ours, theirs = (load(place / 'epoch_4.pth') for place in (part, whole))
    for key in ('state_dict', 'optimizer'):
        assert_same(numbers(ours[key]), numbers(theirs[key]))


@pytest.mark.parametrize('weighting', [None, dict(type='torchjd.GeometricMean')])
def test_a_task_step_has_the_gradient_of_the_joint_loss(weighting: dict | None) -> None:
    """With the other tasks' latest losses as constants; no weighting leaves the loss as it is."""
    samples = range(4)
    for task in TASKS:
        model = toy()
        wrapper = weighted(model, weighting, task_steps=True, optimizer=dict(type='SGD', lr=0.0))
        for other in TASKS:  # each has had a step before
            model.train_step(dict(batch_of(samples), task=other), optim_wrapper=wrapper)
        plain = {t: task_loss(model, t, samples)[0] for t in TASKS}
        wanted = plain[task]
        if weighting is not None:
            joint = torch.stack(list(plain.values())).prod() ** (1 / 3)
            (factor,) = torch.autograd.grad(joint, plain[task], retain_graph=True)
            wanted = factor * plain[task]
        kernel = model.backbone.conv.weight
        (theirs,) = torch.autograd.grad(wanted, kernel)
        wrapper.base.optimizer.param_groups[0]['lr'] = 1.0
        before = kernel.detach().clone()
        model.train_step(dict(batch_of(samples), task=task), optim_wrapper=wrapper)
        torch.testing.assert_close(before - kernel.detach(), theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    'weighting',
    [
        dict(type='AMTLWeighting', references={'seg/mIoU': 30.0, 'depth/delta1': 70.0}),
        dict(type='DTPWeighting', metrics=['seg/mIoU', 'depth/delta1']),
        GRADNORM,
        dict(type='torchjd.FAMO'),
    ],
    ids=lambda w: w['type'],
)
def test_real_metrics_and_mixed_precision(weighting: dict, tmp_path: Path) -> None:
    cfg = dense_config('ft_r18_scenes', write_nyud(tmp_path / 'data'), tmp_path)
    cfg.optim_wrapper.update(type='MultiTaskOptimWrapper', weighting=weighting)
    cfg.train_cfg.update(max_epochs=3, val_begin=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    runner = run(cfg, tmp_path / 'run', amp=True)
    weights = [line['weight/seg'] for line in scalars(tmp_path / 'run') if 'weight/seg' in line]
    assert len(set(weights)) > 1
    assert all(p.isfinite().all() for p in runner.model.parameters())
