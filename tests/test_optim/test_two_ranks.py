"""Two processes under DistributedDataParallel against one on the joined batches."""

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from fixtures_training import load, quick, run
from torch import Tensor, nn
from toy import (
    MASK,
    begin,
    build_wrapper,
    held_channels,
    in_two_ranks,
    relations_of,
    snapshot,
    split_names,
    task_step,
    toy_batch,
    toy_model,
)
from toy import TASKS as COLOURS
from toy_aggregation import batch_of, joint_step, toy, wrapper_of
from toy_joint import TASKS, joint_config

from mmgradsplit.apis import stop_processes
from mmgradsplit.apis import train as train_run
from mmgradsplit.models import MultiTaskDistributedDataParallel
from mmgradsplit.optim.aggregation.aggregators import known_aggregators

STEPS = 3  # where two are accumulated, the last is an update alone

# ---- GradSplit, in round-robin training ----

SUMMED: dict[str, Any] = dict(optimizers='shared', update='iteration')
# A norm for each task, whose statistics are not those of one process's batch.
BY_TASK = dict(norm_cfg=dict(type='mmgradsplit.TaskNorm'), norm_eval=True)
SPLIT: dict[str, dict[str, Any]] = {
    'separate': dict(optimizers='separate'),
    'shared': dict(optimizers='shared'),
    'Eq. 4': SUMMED,
    **{
        f'Eq. 4, {name}': dict(SUMMED, aggregator=dict(type=f'torchjd.{name}'))
        for name in ('UPGrad', 'PCGrad', 'GradDrop', 'NashMTL')
    },
    'accumulated': dict(optimizers='separate', accumulative_counts=2),
    'accumulated Eq. 4': dict(SUMMED, accumulative_counts=2),
    'clipped': dict(clip_grad=dict(max_norm=0.1)),
    'multi-head': dict(relations='all'),
    'dropped': dict(relations='all', drop_grad=0.5),
    'by task': {},
    'uncertainty by task': dict(weighting=dict(type='torchjd.UW')),
}


def train_split(model: Any, network: nn.Module, name: str, rank: int | None) -> Any:
    cfg = dict(relations=relations_of(MASK)) | SPLIT[name]
    mask = ((1,) * 3,) * 3 if cfg['relations'] == 'all' else MASK
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.1)
    wrapper = build_wrapper(network, optimizer=optimizer, **cfg)
    begin(network, wrapper, total=STEPS)
    split = split_names(model, 'layer4')
    own = {name: t for t in COLOURS for name in snapshot(model) if f'.{t}.' in name}
    for step in range(STEPS):
        for number, task in enumerate(COLOURS):
            batch = toy_batch(task, step, size=4, dtype=torch.float64)
            if rank is not None:
                batch = {key: v if key == 'task' else v[rank::2] for key, v in batch.items()}
            before = snapshot(model)
            # The loop seeds by seed, rank, iteration and task.
            torch.manual_seed(100 * step + 10 * number + (rank or 0))
            task_step(network, wrapper, batch)
            if cfg.get('update') == 'iteration':
                continue  # the step after the last task moves what any task may move
            for name, param in model.named_parameters():
                held = held_channels(name, len(param), number, mask, split)
                held = held if own.get(name, task) == task else []
                kept = [c for c in range(len(param)) if c not in held]
                assert torch.equal(param[kept], before[name][kept]), f'{task} moved {name}'
    return wrapper


# ---- other wrappers ----

SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.1)
UW = dict(weighting=dict(type='torchjd.UW'))
WEIGHTED = dict(kind='MultiTaskOptimWrapper')
# Rank 0 has the even samples. Rank 1 has none for 'first', and in odd steps none at all.
SOME = [[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]]
LEFT = [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]

# By name the aggregator, the arguments of ``wrapper_of``, and what the case is about.
OTHERS: dict[str, tuple[str | None, dict[str, Any], dict[str, Any]]] = {
    **{name: (name, {}, {}) for name in known_aggregators()},
    **{f'{name} in turn': (name, dict(task_steps=True), {}) for name in ('UPGrad', 'PCGrad')},
    **{
        f'{name} on features': (name, dict(on='features'), {})
        for name in ('Mean', 'MGDA', 'UPGrad', 'PCGrad', 'TrimmedMean', 'Random', 'GradDrop')
    },
    'last layer': ('UPGrad', dict(on=['last']), dict(backbone='ToyTwoLayers')),
    'whole losses': (
        'IMTLG',
        dict(on=['last'], whole_loss=True, heads='weighted'),
        dict(backbone='ToyTwoLayers', some=True),
    ),
    **{
        f'normalised on {on}': ('MGDA', dict(on=on, normalise='loss+', heads='weighted'), {})
        for on in ('backbone', 'features')
    },
    'some samples': ('UPGrad', {}, dict(some=True)),
    'some samples on features': ('UPGrad', dict(on='features'), dict(some=True)),
    'UPGrad with uncertainty': ('UPGrad', UW, dict(some=True)),
    'accumulated steps': ('UPGrad', dict(accumulative_counts=2), {}),
    'accumulated in turn': ('UPGrad', dict(accumulative_counts=2, task_steps=True), {}),
    'clipped steps': ('MGDA', dict(clip_grad=dict(max_norm=0.1)), {}),
    'CosReg': (None, dict(kind='CosRegOptimWrapper', weight=0.7, on='backbone'), dict(some=True)),
    'uniform': (None, WEIGHTED, dict(some=True)),
    'uncertainty': (None, WEIGHTED | UW, dict(some=True)),
    # Where the losses are those of a rank, the learned weights must stay together all the same.
    'uncertainty of each rank': (None, WEIGHTED | UW, dict(alone=True)),
    'uncertainty in turn': (None, WEIGHTED | UW | dict(task_steps=True), {}),
    'uncertainty, accumulated': (None, WEIGHTED | UW | dict(accumulative_counts=2), {}),
    'GradNorm': (None, WEIGHTED | dict(weighting=dict(type='GradNormWeighting')), dict(some=True)),
    'GradNorm by itself': (
        None,
        WEIGHTED
        | dict(weighting=dict(type='GradNormWeighting', layer='*', momentum=0.1, normalise='mean')),
        dict(some=True),
    ),
}
# GradDrop's masks are drawn for the features of each rank, and CosReg knows its own samples alone.
NOT_JOINED = ('GradDrop on features', 'CosReg')


def train_other(network: nn.Module, name: str, rank: int | None) -> Any:
    aggregator, options, about = OTHERS[name]
    wrapper = wrapper_of(network, aggregator, total=STEPS, **dict(optimizer=SGD) | options)
    mine = slice(None) if rank is None else slice(rank, None, 2)
    for step in range(STEPS):
        samples = [(step + i) % 12 for i in range(4)]
        # The loops seed by rank; the ranks must draw the same all the same.
        torch.manual_seed(100 * step + (rank or 0))
        if options.get('task_steps'):
            for task in TASKS:
                task_step(network, wrapper, dict(batch_of(samples[mine]), task=task))
            continue
        allocation = np.ones((4, 3), dtype=bool)
        if about.get('some'):
            allocation = np.array(LEFT if step % 2 else SOME, dtype=bool)
        counts = None if about.get('alone') else allocation.sum(0)
        own = dict(allocation=allocation[mine], counts=counts)
        joint_step(network, wrapper, samples[mine], **own)
    return wrapper


# ---- all of them ----


def trained(name: str, rank: int | None = None) -> dict[str, Tensor]:
    """The weights of the network, and the learned ones of the losses, after training."""
    seed = rank or 0  # rank 0's weights are broadcast
    if name in SPLIT:
        model = toy_model(torch.float64, seed, **BY_TASK if name == 'by task' else {})
    else:
        model = toy(seed, **{k: v for k, v in OTHERS[name][2].items() if k == 'backbone'})
    network: nn.Module = model
    if rank is not None:
        # Under an aggregator, DistributedDataParallel does not look for what is used.
        looks = name in SPLIT or OTHERS[name][0] is None
        network = MultiTaskDistributedDataParallel(model, find_unused_parameters=looks)
    split = name in SPLIT
    wrapper = train_split(model, network, name, rank) if split else train_other(network, name, rank)
    learned = {f'weighting.{key}': value for key, value in wrapper.weighting.named_parameters()}
    return {key: value.detach().clone() for key, value in (model.state_dict() | learned).items()}


def train_all(rank: int, folder: Path) -> None:
    for name in SPLIT if folder.name == 'split' else OTHERS:
        torch.save(trained(name, rank), folder / f'{name}.{rank}')
    with pytest.raises(ValueError, match='ConFIG needs the features of all processes'):
        wrapper_of(toy(), 'ConFIG', on='features')


@pytest.mark.parametrize(('kind', 'names'), [('split', SPLIT), ('others', OTHERS)])
def test_two_ranks_are_one_process_on_the_joined_batches(
    kind: str, names: dict, tmp_path: Path
) -> None:
    folder = tmp_path / kind
    folder.mkdir()
    in_two_ranks(train_all, folder)
    for name in names:
        first, second = (torch.load(folder / f'{name}.{rank}') for rank in range(2))
        for key, value in first.items():
            assert torch.equal(second[key], value), f'{name}: {key}'
        if name in NOT_JOINED:
            assert all(value.isfinite().all() for value in first.values()), name
            continue
        for key, value in trained(name).items():
            label = f'{name}: {key}'
            torch.testing.assert_close(first[key], value, rtol=1e-7, atol=1e-9, msg=label)
        learned = [value for key, value in first.items() if key.startswith('weighting.')]
        assert all((value != int(name == 'GradNorm')).all() for value in learned), name


# ---- whole runs ----


def run_config(folder: Path, kind: str, batch_size: int) -> Any:
    """A whole run; rank 0 has the even samples, and there is nothing for 'first' in them."""
    cfg = joint_config(folder, batch_size=batch_size, experiment_name=f'{kind}-{batch_size}')
    cfg.optim_wrapper.update(
        type='AggregatorOptimWrapper', aggregator=dict(type='torchjd.UPGrad'), **UW
    )
    if kind == 'joint':
        cfg.train_cfg.annotations = {task: f'gt_{task}' for task in TASKS}
        cfg.train_dataloader.dataset.given = {
            str(i): ('add', 'norm') if i % 2 == 0 else ('first', 'norm') for i in range(12)
        }
    else:
        cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
        cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=2)
    return cfg


def run_rank(rank: int, folder: Path, kind: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='',
    )  # fmt: skip
    with quick():
        runner = train_run(run_config(folder, kind, 3), work_dir=folder, launcher='pytorch')
    torch.save(runner.model.module.state_dict(), folder / f'{rank}.pt')
    del runner
    stop_processes()


@pytest.mark.parametrize('kind', ['joint', 'in turn'])
def test_whole_runs_of_two_processes_equal_one(tmp_path: Path, kind: str) -> None:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        port = place.getsockname()[1]
    mp.start_processes(run_rank, (tmp_path, kind, port), nprocs=2, start_method='fork')
    one = run(run_config(tmp_path / 'one', kind, 6), tmp_path / 'one').model.state_dict()
    for rank in range(2):
        two = load(tmp_path / f'{rank}.pt')
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-8, atol=1e-10, msg=name)
