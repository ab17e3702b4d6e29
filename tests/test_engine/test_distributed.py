"""Two processes on the CPU (gloo) against one process on the joined batch, all kinds of tasks."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
import torch
from fixtures_training import ALL, load, run, tiny_config, write_data
from mmengine.config import Config

from mmgradsplit.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(('127.0.0.1', 0))
        return place.getsockname()[1]


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
    cfg.custom_imports.imports = ['mmgradsplit', 'fixtures_training']
    cfg.custom_hooks = [dict(type='FrozenNormsHook')]
    cfg.log_level = 'INFO'
    return cfg


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'), number=24)


def test_first_update_is_that_of_the_joined_batch(data: Path, tmp_path: Path) -> None:
    # As JSON: in a Python file mmengine sorts the keys, and the order of the tasks matters.
    path = tmp_path / 'two.json'
    mmengine.dump(config(data, batch_size=4).to_dict(), path)
    result = subprocess.run(
        ['bash', ROOT / 'tools/dist_train.sh', path, '2', '--work-dir', tmp_path / 'two'],
        env=dict(
            os.environ,
            PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']]),
            PYTHONPATH=os.pathsep.join(
                [str(ROOT), str(ROOT / 'tests'), os.getenv('PYTHONPATH', '')]
            ),
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES='',
            PORT=str(free_port()),
        ),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert 'gloo' in result.stdout + result.stderr
    for metric in ('attribute/MA', 'reid/mAP', 'pose/PCK', 'parsing/mIoU'):
        assert metric in result.stdout + result.stderr

    runner = run(config(data, batch_size=8), tmp_path / 'one')
    two = load(tmp_path / 'two/epoch_1.pth')['state_dict']
    one = load(tmp_path / 'one/epoch_1.pth')['state_dict']
    torch.manual_seed(0)
    untrained = MODELS.build(runner.cfg.model).state_dict()
    assert list(one) == list(two) == list(untrained)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    moved = {name.split('.')[1] for name in one if not torch.equal(one[name], untrained[name])}
    assert moved >= set(ALL)
