"""Two processes on the CPU (gloo) against one process on the joined batch, all kinds of tasks."""

import functools
from pathlib import Path

import pytest
import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import ALL, load, run, scalars, tiny_config, write_data
from mmengine.config import Config

from mmgradsplit.registry import MODELS


def config(data: Path, batch_size: int) -> Config:
    """One major iteration of SGD.

    Batch norms are frozen, as each process has batch statistics of its own (SyncBN needs GPUs), and
    there is no dropout, whose draws differ by process.
    """
    cfg = tiny_config(data, ALL, batch_size=batch_size)
    cfg.model.tasks.parsing.decode_head.dropout_ratio = 0.0
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=1)
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)
    cfg.optim_wrapper.relations = [[0.0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, -1], [-1, 0, 0, 0]]
    cfg.param_scheduler = None
    cfg.custom_hooks = [dict(type='FrozenNormsHook')]
    return cfg


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'), number=24)


def train_rank(data: Path, rank: int, folder: Path) -> None:
    run(config(data, batch_size=4), folder, launcher='pytorch')


def test_first_update_is_that_of_the_joined_batch(data: Path, tmp_path: Path) -> None:
    # First, as it imports what the forked processes need.
    runner = run(config(data, batch_size=8), tmp_path / 'one')
    on_two_ranks(functools.partial(train_rank, data), tmp_path / 'two')
    lines = scalars(tmp_path / 'two')
    assert {'attribute/MA', 'reid/mAP', 'pose/PCK', 'parsing/mIoU'} <= set(lines[-1])
    two = load(tmp_path / 'two/epoch_1.pth')['state_dict']
    one = load(tmp_path / 'one/epoch_1.pth')['state_dict']
    torch.manual_seed(0)
    untrained = MODELS.build(runner.cfg.model).state_dict()
    assert list(one) == list(two) == list(untrained)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    moved = {name.split('.')[1] for name in one if not torch.equal(one[name], untrained[name])}
    assert moved >= set(ALL)
