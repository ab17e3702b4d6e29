"""What only a GPU can show: float16, other kernels, and two processes on one card.

``pytest -m gpu`` runs these, and what is worth a try on a GPU of the other tests. ``--rehearse``
tries them on the CPU, with bfloat16 where a CPU has no float16.
"""

import math
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
from fixtures_dense import dense_config, write_nyud
from fixtures_gpu import watch_groups
from fixtures_ranks import free_port
from fixtures_training import build, load, run, scalars, tiny_config, write_data
from mmengine.config import Config

from mmgradsplit.apis.methods import method_names
from mmgradsplit.apis.preparation import prepare, use_mixed_precision

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).resolve().parent.parent
TASKS = ('attribute', 'pose')
GPU = torch.cuda.is_available()
# They need relations, which this config does not have, or do not stay finite with this network.
OTHERS = {'gradsplit', 'gradsplit_summed', 'cosreg'}
# They draw on the device, where a CPU draws other numbers.
DRAW = {
    'dropgrad', 'dropgrad75', 'graddrop', 'ista_pcgrad', 'pcgrad', 'pcgrad_features',
    'pcgrad_last_layer', 'pcgrad_mean', 'pcgrad_uw', 'rgw', 'rlw', 'sta_pcgrad', 'gradvac',
}  # fmt: skip


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nyud(tmp_path_factory.mktemp('scenes') / 'data', number=12)


def config(data: Path) -> Config:
    cfg = tiny_config(data, TASKS)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.param_scheduler = []
    return cfg


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('clip', [False, True])
def test_the_freeze_in_half_precision(data: Path, tmp_path: Path, dtype: str, clip: bool) -> None:
    cfg = config(data)
    if GPU:
        cfg.optim_wrapper.base = dict(dtype=dtype)
        if dtype == 'float16':
            cfg.optim_wrapper.base.loss_scale = dict(init_scale=64.0)
    if clip:
        cfg.optim_wrapper.clip_grad = dict(max_norm=1.0)
    use_mixed_precision(cfg)
    runner = build(cfg, tmp_path)
    assert runner.model.backbone.conv1.weight.is_cuda == GPU
    moved = watch_groups(runner, TASKS)
    runner.train()
    for trained, kept, convolutions in moved.values():
        assert trained == 6 * convolutions and kept == 0


@pytest.mark.skipif(not GPU, reason='the loss scaler needs a GPU')
def test_an_infinite_gradient_backs_off_its_own_task_alone(data: Path, tmp_path: Path) -> None:
    cfg = config(data)
    cfg.optim_wrapper.base = dict(dtype='float16', loss_scale=dict(init_scale=64.0))
    use_mixed_precision(cfg)
    runner = build(cfg, tmp_path)
    model, train_step = runner.model, runner.model.train_step
    taken: list[tuple[str, bool]] = []
    model.tasks['pose'].head.final_layer.weight.register_hook(
        lambda grad: grad * math.inf if len(taken) == 3 else grad
    )

    def watched(batch: dict, optim_wrapper: object) -> object:
        before = [p.detach().clone() for p in model.backbone.parameters()]
        logs = train_step(batch, optim_wrapper)
        pairs = zip(before, model.backbone.parameters(), strict=True)
        taken.append((batch['task'], any(not torch.equal(a, b) for a, b in pairs)))
        return logs

    model.train_step = watched
    runner.train()
    assert [moved for _, moved in taken] == [number != 3 for number in range(12)]
    assert taken[3][0] == 'pose'
    wrappers = runner.optim_wrapper.optim_wrappers
    scales = {task: wrappers[task].loss_scaler.get_scale() for task in TASKS}
    assert scales == dict(attribute=64.0, pose=32.0)


@pytest.mark.parametrize('method', sorted(set(method_names()) - OTHERS))
def test_a_method_updates_as_on_the_cpu(scenes: Path, tmp_path: Path, method: str) -> None:
    found = []
    for device in ('cpu', 'cuda' if GPU else 'cpu'):
        folder = tmp_path / f'{len(found)}'
        options = dict(train_cfg__iters_per_epoch=1, train_cfg__max_epochs=2)
        cfg = dense_config('ft_r18_scenes', scenes, folder, ('seg', 'depth', 'normal'), **options)
        cfg.train_cfg.update(val_begin=1, val_interval=1)
        cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.001)
        cfg.model.backbone.norm_cfg = dict(type='GN', num_groups=2)
        cfg.accuracies = {'seg/mIoU': 50.0, 'depth/delta1': 50.0, 'normal/11.25': 50.0}
        with mock.patch('mmengine.runner.runner.get_device', lambda device=device: device):
            run(prepare(cfg, folder, method=method), folder)
        saved = load(folder / 'epoch_2.pth')['state_dict']
        lines = [line for line in scalars(folder) if 'loss' in str(line)]
        found.append((saved, {k: v for line in lines for k, v in line.items() if 'loss' in k}))
    (here, logs), (there, theirs) = found
    assert all(math.isfinite(value) for value in theirs.values())
    assert all(value.isfinite().all() for value in there.values())
    if method not in DRAW:
        assert theirs == pytest.approx(logs, rel=1e-3)
        for name, value in here.items():
            torch.testing.assert_close(there[name].cpu(), value, rtol=1e-3, atol=1e-4, msg=name)


def test_two_processes_share_a_device_by_gloo(data: Path, tmp_path: Path) -> None:
    cfg = config(data)
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.train_cfg.max_epochs = 1
    cfg.randomness.diff_rank_seed = False
    cfg.dump(tmp_path / 'config.py')
    command = [
        *(sys.executable, str(ROOT / 'tools/train.py'), str(tmp_path / 'config.py')),
        *('--launcher', 'pytorch', '--work-dir', str(tmp_path / 'two')),
    ]
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        OMP_NUM_THREADS='1',
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(free_port()),
        LOCAL_RANK='0',  # of both: there is one GPU
    )
    processes = [
        subprocess.Popen(command, env=dict(environment, RANK=str(rank)), stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said.decode()[-3000:]
    finally:
        for process in processes:
            process.kill()
    saved = load(tmp_path / 'two/epoch_1.pth')['state_dict']
    assert all(value.isfinite().all() for value in saved.values())
