"""Checkpoints are whole or not there, and there is always a whole one."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import build, load, run, scalars, tiny_config, write_data
from mmengine.hooks import Hook
from mmengine.runner import Runner, save_checkpoint

from mmgradsplit.apis.checkpoints import is_whole, newest_checkpoint
from mmgradsplit.engine.hooks.checkpoint import AtomicBackend
from mmgradsplit.registry import HOOKS

TASKS = ('attribute', 'parsing')
ATOMIC = dict(backend='atomic')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@HOOKS.register_module(force=True)
class EachBetterHook(Hook):
    """Makes each validation better than the one before."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        assert metrics is not None
        metrics['attribute/MA'] = float(runner.epoch)


@pytest.mark.parametrize('moment', ['fsync', 'replace'])
def test_a_failure_while_writing_leaves_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / 'new folder' / 'epoch_1.pth'
    save_checkpoint({'value': torch.tensor(1)}, str(path), backend_args=ATOMIC)
    earlier = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError('no space left on device')

    monkeypatch.setattr(os, moment, fail)
    with pytest.raises(OSError, match='no space left'):
        save_checkpoint({'value': torch.tensor(2)}, str(path), backend_args=ATOMIC)
    assert path.read_bytes() == earlier
    assert newest_checkpoint(path.parent) == path
    monkeypatch.undo()
    save_checkpoint({'value': torch.tensor(2)}, str(path), backend_args=ATOMIC)
    assert load(path) == {'value': torch.tensor(2)}
    assert [entry.name for entry in path.parent.iterdir()] == ['epoch_1.pth']


def test_backend_reads_as_a_local_one(tmp_path: Path) -> None:
    backend = AtomicBackend()
    backend.put(b'abc', tmp_path / 'a')
    assert backend.get(tmp_path / 'a') == b'abc'
    backend.remove(tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize('by_epoch', [True, False])
def test_there_is_always_a_whole_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_epoch: bool
) -> None:
    """Looked at before and after each write, move and removal of a file."""
    numbered: list[int] = []
    best: list[int] = []

    def look() -> None:
        paths = list(tmp_path.glob('*.pth'))
        assert all(map(is_whole, paths))
        best.append(sum(path.name.startswith('best_') for path in paths))
        numbered.append(len(paths) - best[-1])

    def watched(function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            look()
            result = function(*args, **options)
            look()
            return result

        return call

    for name in ('fsync', 'replace', 'remove', 'unlink'):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    cfg = tiny_config(data, TASKS)
    cfg.train_cfg.update(max_epochs=4, iters_per_epoch=2)
    cfg.default_hooks.checkpoint.update(
        by_epoch=by_epoch, interval=1, max_keep_ckpts=1, save_best='attribute/MA'
    )
    cfg.custom_hooks = [dict(type='EachBetterHook')]
    runner = run(cfg, tmp_path)

    # From the first one on there is always one, and never more than one and its successor.
    for numbers in (numbered, best):
        assert set(numbers[numbers.index(1) :]) == {1, 2}
    end = 'epoch_4.pth' if by_epoch else 'iter_8.pth'
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == [f'best_attribute_MA_{end}', end]
    assert runner.message_hub.get_info('best_score') == 4
    assert load(tmp_path / end)['message_hub']['runtime_info']['best_score'] == 4


def test_a_better_validation_of_the_same_epoch_stays(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, TASKS)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.checkpoint.update(save_best='attribute/MA', rule='greater')
    runner = run(cfg, tmp_path)
    best = Path(runner.message_hub.get_info('best_ckpt'))
    assert is_whole(best)
    runner.message_hub.update_info('best_score', -1.0)
    runner.val()
    assert is_whole(runner.message_hub.get_info('best_ckpt'))


def test_best_survives_a_resume(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, TASKS)
    cfg.default_hooks.checkpoint.update(save_best='attribute/MA', rule='greater', max_keep_ckpts=1)
    run(cfg, tmp_path)
    cfg.train_cfg.max_epochs = 4
    run(cfg, tmp_path, resume='auto')
    (best,) = tmp_path.glob('best_*.pth')
    (numbered,) = tmp_path.glob('epoch_*.pth')
    assert numbered.name == 'epoch_4.pth'
    assert 'attribute_MA' in best.name


def test_validation_alone_needs_no_checkpoint(data: Path, tmp_path: Path) -> None:
    metrics = build(tiny_config(data, TASKS), tmp_path).val()
    assert 'attribute/MA' in metrics
    assert not list(tmp_path.glob('*.pth'))
    assert scalars(tmp_path)
