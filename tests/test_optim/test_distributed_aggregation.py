"""Aggregators under DistributedDataParallel: two processes against one on the joined batches."""

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from fixtures_training import load, quick, run
from mmengine.model import MMDistributedDataParallel
from torch import nn
from toy_aggregation import batch_of, joint_batch, toy, wrapper_of
from toy_joint import TASKS, joint_config

from mmgradsplit.apis import stop_processes
from mmgradsplit.apis import train as train_run
from mmgradsplit.optim.aggregation.aggregators import known_aggregators

WORLD = 2
STEPS = 4
SGD = dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.1)
# Rank 0 has the even samples. Rank 1 has none for 'first', and in odd steps none at all.
SOME = [[1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]]
LEFT = [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]

# By name the aggregator, the keys of the wrapper, and what the case is about.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    **{name: (name, {}, {}) for name in known_aggregators()},
    **{f'{name} in turn': (name, {}, dict(turns=True)) for name in ('UPGrad', 'PCGrad')},
    **{
        f'{name} on features': (name, dict(on='features'), {})
        for name in ('Mean', 'MGDA', 'UPGrad', 'PCGrad', 'TrimmedMean', 'Random', 'GradDrop')
    },
    'last layer': ('UPGrad', dict(on=['last']), dict(backbone='ToyTwoLayers')),
    'some samples': ('UPGrad', {}, dict(some=True)),
    'some samples on features': ('UPGrad', dict(on='features'), dict(some=True)),
    'uncertainty': ('UPGrad', {}, dict(some=True, weighting=dict(type='torchjd.UW'))),
    'accumulated': ('UPGrad', dict(accumulative_counts=2), {}),
    'accumulated in turn': ('UPGrad', dict(accumulative_counts=2), dict(turns=True)),
    'clipped': ('MGDA', dict(clip_grad=dict(max_norm=0.1)), {}),
}
# Its masks are drawn for the features of each rank.
NOT_JOINED = ('GradDrop on features',)


def model_of(name: str, seed: int = 0) -> Any:
    about = CASES[name][2]
    options = {key: about[key] for key in ('backbone', 'weighting') if key in about}
    return toy(seed, **options)


def train(network: nn.Module, name: str, rank: int | None) -> None:
    aggregator, cfg, about = CASES[name]
    wrapper = wrapper_of(network, aggregator, optimizer=SGD, **cfg)
    turns = about.get('turns', False)
    wrapper.initialize_count_status(network, 0, STEPS * (len(TASKS) if turns else 1))
    mine = slice(None) if rank is None else slice(rank, None, WORLD)
    for step in range(STEPS):
        samples = [(step + i) % 12 for i in range(4)]
        # The loops seed by rank; the ranks must draw the same all the same.
        torch.manual_seed(100 * step + (rank or 0))
        if turns:
            for task in TASKS:
                part = dict(batch_of(samples[mine]), task=task)
                network.train_step(part, optim_wrapper=wrapper)
            continue
        allocation = np.ones((4, 3), dtype=bool)
        if about.get('some'):
            allocation = np.array(LEFT if step % 2 else SOME, dtype=bool)
        counts = allocation.sum(0)
        part = joint_batch(samples[mine], allocation=allocation[mine], counts=counts)
        network.train_step(part, optim_wrapper=wrapper)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=WORLD
    )
    for name in CASES:
        model = model_of(name, seed=rank)  # rank 0's weights are broadcast
        train(MMDistributedDataParallel(model), name, rank)
        torch.save(model.state_dict(), f'{folder}/{name}.{rank}')
    with pytest.raises(ValueError, match='ConFIG needs the features of all processes'):
        wrapper_of(toy(), 'ConFIG', on='features')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('ranks')
    # Forked processes have imported everything already.
    mp.start_processes(work, args=(str(path),), nprocs=WORLD, start_method='fork')
    return path


@pytest.mark.parametrize('name', CASES)
def test_two_ranks_are_one_process_on_the_joined_batches(folder: Path, name: str) -> None:
    first, second = (torch.load(folder / f'{name}.{rank}') for rank in range(WORLD))
    for key, value in first.items():
        assert torch.equal(second[key], value), key
    if name in NOT_JOINED:
        return
    model = model_of(name)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    train(model, name, None)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(first[key], value, rtol=1e-7, atol=1e-9, msg=key)
    assert any(not torch.equal(start[key], value) for key, value in first.items())


def run_config(folder: Path, kind: str, batch_size: int) -> Any:
    """A whole run; rank 0 has the even samples, and there is nothing for 'first' in them."""
    cfg = joint_config(
        folder,
        batch_size=batch_size,
        optim_wrapper__aggregator=dict(type='torchjd.UPGrad'),
        experiment_name=f'{kind}-{batch_size}',
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
    mp.start_processes(run_rank, (tmp_path, kind, port), nprocs=WORLD, start_method='fork')
    one = run(run_config(tmp_path / 'one', kind, 6), tmp_path / 'one').model.state_dict()
    for rank in range(WORLD):
        two = load(tmp_path / f'{rank}.pt')
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-8, atol=1e-10, msg=name)
