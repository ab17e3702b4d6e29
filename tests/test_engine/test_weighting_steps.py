"""Weightings on two ranks, and in the task steps of round-robin training."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from fixtures_dense import dense_config, write_nyud
from fixtures_training import assert_same, build, load, quick, run, scalars
from mmengine.config import Config
from mmengine.runner import Runner
from toy_joint import TASKS, ToyScenes
from toy_weighting import AMTL, DTP, GRADNORM, GRADSPLIT, config, numbers

from mmgradsplit.apis import stop_processes, train
from mmgradsplit.apis.preparation import prepare, use_mixed_precision

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
        cfg.optim_wrapper = GRADSPLIT
    return cfg


def free_port() -> int:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


def train_rank(rank: int, folder: Path, port: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='',
    )  # fmt: skip
    for number in range(len(RANKS)):
        place = folder / str(number)
        cfg = uneven_config(place, number, batch_size=3)
        cfg.experiment_name = f'two_{number}'
        with quick():
            runner: Runner = train(cfg, work_dir=place, launcher='pytorch')
        torch.save(runner.model.module.state_dict(), place / f'{rank}.pt')
        del runner
    stop_processes()


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """A weighting sees the losses of all ranks; rank 1 has no sample at all in some steps."""
    # Forked processes have imported everything already.
    mp.start_processes(train_rank, (tmp_path / 'two', free_port()), nprocs=2, start_method='fork')
    for number, (weighting, gradsplit) in enumerate(RANKS):
        folder = tmp_path / f'one_{number}'
        one = run(uneven_config(folder, number, batch_size=6), folder).model.state_dict()
        two = [load(tmp_path / f'two/{number}/{rank}.pt') for rank in (0, 1)]
        label = f'{weighting}, GradSplit: {gradsplit}'
        assert_same(numbers(two[0]), numbers(two[1]), label)
        for name, value in one.items():
            torch.testing.assert_close(
                two[0][name], value, rtol=1e-5, atol=1e-6, equal_nan=True, msg=f'{label}, {name}'
            )


def round_robin_config(folder: Path, weighting: dict | None, validated: bool = False) -> Config:
    cfg = config(folder, weighting or {}, validated)
    if weighting is None:
        del cfg.model['weighting']
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=4, iters_per_epoch=3)
    return cfg


@pytest.mark.parametrize(
    'weighting',
    [dict(type='torchjd.UW'), dict(type='torchjd.DWA'), GRADNORM, AMTL, DTP],
    ids=lambda w: w['type'],
)
def test_task_steps(weighting: dict, tmp_path: Path) -> None:
    validated = weighting in (AMTL, DTP)
    cfg = round_robin_config(tmp_path, weighting, validated)
    whole, part = tmp_path / 'whole', tmp_path / 'part'
    run(cfg, whole)
    lines = [line for line in scalars(whole) if 'add/loss' in line]
    assert len(lines) == 12
    for task in TASKS:  # the log has the tasks' own losses, and their weights
        assert all(line[f'{task}/loss'] == line[f'{task}/loss_square'] for line in lines)
        assert len({line[f'{task}/weight'] for line in lines}) > 1
    run(cfg, part, resume=whole / 'epoch_3.pth')
    ours, theirs = (load(place / 'epoch_4.pth')['state_dict'] for place in (part, whole))
    assert_same(numbers(ours), numbers(theirs))


def test_a_task_step_has_the_gradient_of_the_joint_loss(tmp_path: Path) -> None:
    """With the other tasks' latest losses as constants; no weighting leaves the loss as it is."""
    data = [ToyScenes()[index] for index in range(4)]
    inputs = torch.stack([part['inputs'] for part in data])
    samples = [part['data_samples'] for part in data]
    for number, weighting in enumerate((None, dict(type='torchjd.GeometricMean'))):
        folder = tmp_path / str(number)
        model = build(round_robin_config(folder, weighting), folder).model
        plain = {t: model(inputs, samples, 'loss', task=t)['loss_square'] for t in TASKS}
        kernel = model.backbone.conv.weight
        wanted = plain
        if weighting is not None:
            joint = torch.stack(list(plain.values())).prod() ** (1 / 3)
            factors = torch.autograd.grad(joint, list(plain.values()), retain_graph=True)
            wanted = {t: f * plain[t] for t, f in zip(TASKS, factors, strict=True)}
            for task in TASKS:  # each has had a step before
                model(inputs, samples, 'loss', task=task, weighted=True)
        for task in TASKS:
            outputs = model(inputs, samples, 'loss', task=task, weighted=True)
            (ours,) = torch.autograd.grad(model.parse_losses(outputs)[0], kernel)
            (theirs,) = torch.autograd.grad(wanted[task], kernel, retain_graph=True)
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_famo_needs_all_tasks_in_one_step(tmp_path: Path) -> None:
    cfg = round_robin_config(tmp_path, dict(type='torchjd.FAMO'))
    with pytest.raises(ValueError, match='updates task by task; take joint training'):
        run(cfg, tmp_path)


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
    data = write_nyud(tmp_path / 'data')
    cfg = prepare(dense_config('ft_r18_scenes', data, tmp_path, ('seg', 'depth')))
    cfg.model.weighting = weighting
    cfg.train_cfg.update(max_epochs=3, val_begin=1, val_interval=1)
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks = [dict(type='WeightingHook')]
    use_mixed_precision(cfg)
    runner = run(cfg, tmp_path / 'run')
    weights = [line['weight/seg'] for line in scalars(tmp_path / 'run') if 'weight/seg' in line]
    assert len(set(weights)) > 1
    assert all(p.isfinite().all() for p in runner.model.parameters())
