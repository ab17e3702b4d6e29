"""Where a run goes on: the newest whole checkpoint of its own folder, alone in its work dir."""

import functools
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import assert_same, in_child, load, run
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from toy_joint import ToyScenes
from toy_weighting import config

from mmgradsplit.apis.checkpoints import find_newest, newest_checkpoint, numbered_checkpoints
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import CheckpointError, read_checkpoint, write_atomically


def cfg_of(folder: Path, **options: Any) -> Config:
    return config(folder, None, log_level='ERROR', **options)


def damage(file: Path) -> None:
    """Flip a bit of a weight."""
    weight = load(file)['state_dict']['backbone.conv.weight'].numpy().tobytes()
    content = bytearray(file.read_bytes())
    content[content.index(weight) + 5] ^= 8
    file.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = cfg_of(tmp_path)
    run(cfg, tmp_path / 'run')
    whole = load(tmp_path / 'run/epoch_2.pth')
    damage(tmp_path / 'run/epoch_2.pth')
    assert load(tmp_path / 'run/epoch_2.pth')['meta']['epoch'] == 2  # torch reads it without a word
    with pytest.raises(CheckpointError, match=r'epoch_2\.pth.* is damaged: the checksum'):
        run(cfg, tmp_path / 'run', resume=tmp_path / 'run/epoch_2.pth')
    with pytest.raises(CheckpointError, match=r'epoch_2\.pth.* is damaged: the checksum'):
        read_checkpoint(tmp_path / 'run/epoch_2.pth')
    cfg.log_level = 'INFO'
    run(cfg, tmp_path / 'run', resume='auto')
    said = capsys.readouterr().out
    assert 'epoch_2.pth is damaged: the checksum' in said
    assert f'Training continues from {tmp_path}/run/epoch_1.pth' in said
    assert_same(load(tmp_path / 'run/epoch_2.pth')['state_dict'], whole['state_dict'])
    for file in numbered_checkpoints(tmp_path / 'run'):
        damage(file)
    with pytest.raises(CheckpointError, match=r'none of the checkpoints .*epoch_2\.pth, epoch_1'):
        run(cfg, tmp_path / 'run', resume='auto')


def test_epochs_and_iterations_are_compared_by_what_they_stand_at(tmp_path: Path) -> None:
    def save(name: str, **meta: int) -> Path:
        torch.save(dict(meta=meta), tmp_path / name)
        return tmp_path / name

    epoch = save('epoch_3.pth', epoch=3, iter=12)
    save('iter_4.pth', epoch=0, iter=4)
    save('epoch_1.pth', epoch=1, iter=4)
    names = [path.name for path in numbered_checkpoints(tmp_path)]
    assert names == ['iter_4.pth', 'epoch_1.pth', 'epoch_3.pth']
    assert newest_checkpoint(tmp_path) == epoch
    later = save('iter_14.pth', epoch=3, iter=14)
    assert newest_checkpoint(tmp_path) == later
    own = save('mine.pth', epoch=4, iter=16)
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/mine.pth')
    assert newest_checkpoint(tmp_path) == own
    own.write_bytes(own.read_bytes()[:-9])
    assert find_newest(tmp_path) == (later, {own: 'it does not end as a checkpoint does'})


def test_a_copy_goes_on_from_its_own_files(tmp_path: Path) -> None:
    """And leaves those of the original alone, the best one among them."""
    cfg = cfg_of(tmp_path)
    cfg.default_hooks.checkpoint.update(save_best='add/accuracy', rule='greater', max_keep_ckpts=1)
    cfg = config(tmp_path, None, validated=True, default_hooks=cfg.default_hooks)
    run(cfg, tmp_path / 'original')
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    before = {path.name: path.read_bytes() for path in (tmp_path / 'original').glob('*.pth')}
    (tmp_path / 'copy/epoch_2.pth').unlink()
    cfg.train_cfg.max_epochs = 4
    run(cfg, tmp_path / 'copy', resume='auto')
    shutil.copy(tmp_path / 'original/epoch_2.pth', tmp_path / 'copy')
    runner = run(cfg, tmp_path / 'copy', resume=tmp_path / 'copy/epoch_2.pth')
    assert Path(runner.message_hub.get_info('best_ckpt')).parent == tmp_path / 'copy'
    after = {path.name: path.read_bytes() for path in (tmp_path / 'original').glob('*.pth')}
    assert before == after


def test_other_values_than_those_of_the_checkpoint_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = cfg_of(tmp_path)
    run(cfg, tmp_path / 'run')
    cfg.train_cfg.max_epochs, cfg.log_level = 3, 'INFO'
    cfg.optim_wrapper.optimizer.lr = 0.5
    run(cfg, tmp_path / 'run', resume='auto')
    said = capsys.readouterr().out
    assert (
        'optim_wrapper.optimizer.lr=0.5 (it was 0.05), train_cfg.max_epochs=3 (it was 2).' in said
    )
    run(cfg, tmp_path / 'again')
    assert 'it was' not in capsys.readouterr().out


def test_an_epoch_of_another_length_is_refused(tmp_path: Path) -> None:
    """Also a shorter one, in which the iterations that were done would fit."""
    cfg = cfg_of(tmp_path, train_cfg__iters_per_epoch=4)
    run(cfg, tmp_path / 'run')
    cfg.train_cfg.update(max_epochs=4, iters_per_epoch=3)
    message = r'train_cfg\.iters_per_epoch=3 does not fit .*epoch 2, iteration 8'
    with pytest.raises(ValueError, match=message):
        run(cfg, tmp_path / 'run', resume='auto')


# ---- one work dir, one run ----


@HOOKS.register_module(force=True)
class SecondRunHook(Hook):
    """Starts another run in the same folder."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 0:
            cfg = cfg_of(Path(runner.work_dir))
            assert in_child(functools.partial(refused, cfg, runner.work_dir)) == 0


def refused(cfg: Config, work_dir: str) -> None:
    message = rf'in use by another run \(process {os.getppid()} on '
    with pytest.raises(FileExistsError, match=message):
        run(cfg, Path(work_dir))


def test_a_second_run_in_the_folder_is_refused(tmp_path: Path) -> None:
    cfg = cfg_of(tmp_path, custom_hooks=[dict(type='SecondRunHook')])
    run(cfg, tmp_path / 'run')
    cfg.custom_hooks = []
    run(cfg, tmp_path / 'run', resume='auto')  # the lock has ended with the run


# ---- files that cannot be written ----


def test_a_full_disk_is_said_and_what_was_whole_stays(tmp_path: Path) -> None:
    write_atomically(tmp_path / 'file', b'before')

    def too_much() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with pytest.raises(OSError, match=r"whole: '.*/file'"):
            write_atomically(tmp_path / 'file', bytes(2000))

    assert in_child(too_much) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['file']
    assert (tmp_path / 'file').read_bytes() == b'before'


def test_a_full_disk_in_a_training(tmp_path: Path) -> None:
    """The first checkpoint fits, and is whole; the second one does not."""
    cfg = cfg_of(tmp_path, custom_hooks=[dict(type='FullDiskHook')])

    def train() -> None:
        with pytest.raises(OSError, match=r"epoch_2\.pth'"):
            run(cfg, tmp_path / 'run')

    assert in_child(train) == 0
    assert [path.name for path in (tmp_path / 'run').glob('*.pth*')] == ['epoch_1.pth']
    cfg.custom_hooks = []
    assert run(cfg, tmp_path / 'run', resume='auto').epoch == 2


@HOOKS.register_module(force=True)
class FullDiskHook(Hook):
    """Lets no file grow beyond some bytes, in the second epoch."""

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))


# ---- errors in a step ----


def test_an_error_in_a_step_names_task_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ToyScenes.__getitem__

    def incomplete(self: ToyScenes, index: int) -> dict[str, Any]:
        sample = read(self, index)
        sample['data_samples'].set_metainfo(dict(img_path=f'{index}.png'))
        if index == 5:
            del sample['data_samples'].gt_first
        return sample

    monkeypatch.setattr(ToyScenes, '__getitem__', incomplete)
    cfg = cfg_of(tmp_path)
    message = r"task 'sub-step 0', iteration 1: AttributeError: .*gt_first.*\['4\.png', '5\.png', "
    with pytest.raises(ValueError, match=message):
        run(cfg, tmp_path / 'run')
