"""Each process takes up its own gradients that waited for an update."""

import functools
from pathlib import Path

import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import load
from fuzz import kills


def train_rank(name: str, resume: Path | None, rank: int, folder: Path) -> None:
    cfg = kills.setup(name, folder)
    cfg.optim_wrapper.accumulative_counts = 3
    cfg.train_cfg.iters_per_epoch = 4
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    kills.run(cfg, folder, launcher='pytorch', resume=resume)


def test_two_processes_resume_in_the_middle_of_an_accumulation(tmp_path: Path) -> None:
    name = 'aggregator, accumulating'
    kills.run(kills.setup(name, tmp_path), tmp_path / 'imports')
    on_two_ranks(functools.partial(train_rank, name, None), tmp_path / 'whole')
    middle = tmp_path / 'whole/epoch_2.pth'
    one, other = load(middle)['waiting']
    assert not torch.equal(
        one['network']['tasks.add.head.weight'], other['network']['tasks.add.head.weight']
    )
    on_two_ranks(functools.partial(train_rank, name, middle), tmp_path / 'resumed')
    kills.assert_same(
        load(tmp_path / 'resumed/epoch_4.pth')['state_dict'],
        load(tmp_path / 'whole/epoch_4.pth')['state_dict'],
    )
