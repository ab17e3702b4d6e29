"""GradSplit under DistributedDataParallel: two processes against one on the joined batches."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from torch import nn
from toy import (
    TASKS,
    assert_same_weights,
    build_wrapper,
    held_channels,
    relations_of,
    snapshot,
    split_names,
    toy_batch,
    toy_model,
)

from mmgradsplit.models import MultiTaskModel

WORLD = 2
STEPS = 4
MASK = ((1, 0, 1), (1, 1, 0), (0, 0, 1))
CASES = {
    'separate': dict(optimizers='separate'),
    'shared': dict(optimizers='shared'),
    'eq4': dict(optimizers='shared', update='iteration'),
    **{
        f'eq4, {name}': dict(
            optimizers='shared', update='iteration', aggregator=dict(type=f'torchjd.{name}')
        )
        for name in ('UPGrad', 'PCGrad', 'GradDrop', 'NashMTL')
    },
    'accumulated': dict(optimizers='separate', accumulative_counts=2),
    'accumulated eq4': dict(optimizers='shared', update='iteration', accumulative_counts=2),
    'clipped': dict(clip_grad=dict(max_norm=0.1)),
    'multi-head': dict(relations='all'),
    'dropped': dict(relations='all', drop_grad=0.5),
}
# A norm for each task, whose statistics are not those of one process's batch.
NETWORKS = {'by task': dict(norm_cfg=dict(type='mmgradsplit.TaskNorm'), norm_eval=True)}


def part(batch: dict, rank: int) -> dict:
    """The share of one rank in the joined batch of a task step."""
    return {key: value if key == 'task' else value[rank::WORLD] for key, value in batch.items()}


def make_model(name: str, seed: int = 0) -> MultiTaskModel:
    return toy_model(torch.float64, seed, **NETWORKS.get(name, {}))


def run_case(model: nn.Module, network: nn.Module, name: str, rank: int | None) -> None:
    cfg = CASES.get(name, {})
    cfg = dict(relations=relations_of(MASK), **cfg) if 'relations' not in cfg else cfg
    mask = ((1,) * 3,) * 3 if cfg['relations'] == 'all' else MASK
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.1)
    wrapper = build_wrapper(network, optimizer=optimizer, **cfg)
    wrapper.initialize_count_status(network, 0, STEPS)
    split = split_names(model, 'layer4')
    own = {name: t for t in TASKS for name in snapshot(model) if f'.{t}.' in name}
    for step in range(STEPS):
        for number, task in enumerate(TASKS):
            batch = toy_batch(task, step, size=4, dtype=torch.float64)
            before = snapshot(model)
            # The loop seeds by seed, rank, iteration and task.
            torch.manual_seed(100 * step + 10 * number + (rank or 0))
            network.train_step(
                batch if rank is None else part(batch, rank), optim_wrapper=wrapper[task]
            )
            if cfg.get('update') == 'iteration':
                continue  # the step after the last task moves what any task may move
            for name, param in model.named_parameters():
                held = held_channels(name, len(param), number, mask, split)
                held = held if own.get(name, task) == task else []
                kept = [c for c in range(len(param)) if c not in held]
                assert torch.equal(param[kept], before[name][kept]), f'{task} moved {name}'


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=WORLD
    )
    for name in [*CASES, *NETWORKS]:
        model = make_model(name, seed=rank)  # rank 0's weights are broadcast
        network = MMDistributedDataParallel(model, find_unused_parameters=True)
        run_case(model, network, name, rank)
        torch.save(model.state_dict(), f'{folder}/{name}.{rank}')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('ranks')
    mp.spawn(work, args=(str(path),), nprocs=WORLD)
    return path


@pytest.mark.parametrize('name', [*CASES, *NETWORKS])
def test_two_ranks_are_one_process_on_the_joined_batches(folder, name):
    ranks = [torch.load(folder / f'{name}.{rank}') for rank in range(WORLD)]
    first, second = (make_model(name) for _ in ranks)
    first.load_state_dict(ranks[0])
    second.load_state_dict(ranks[1])
    assert_same_weights(first, second)

    model = make_model(name)
    run_case(model, model, name, None)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(ranks[0][key], value, rtol=1e-8, atol=1e-10, msg=key)
