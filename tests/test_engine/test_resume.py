"""A killed run continues to the same weights, bit for bit; the same seed gives the same weights."""

import functools
import signal
from pathlib import Path

import numpy as np
import pytest
from fixtures_training import (
    ALL,
    assert_same,
    in_child,
    load,
    run,
    tiny_config,
    write_data,
)
from mmengine.config import Config

from mmgradsplit.apis.checkpoints import is_whole, newest_checkpoint

TWO = ('attribute', 'parsing')
LAST = {True: 'epoch_3.pth', False: 'iter_12.pth'}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp('data'))
    # Imports what a run imports, so that the forked processes need not.
    run(tiny_config(folder), tmp_path_factory.mktemp('first'))
    return folder


def config(data: Path, by_epoch: bool, tasks: tuple[str, ...] = TWO, workers: int = 0) -> Config:
    """Three epochs of four major iterations, with a checkpoint an epoch or every two iterations."""
    cfg = tiny_config(data, tasks, num_workers=workers)
    cfg.train_cfg.update(max_epochs=3, iters_per_epoch=4)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
        dict(type='MultiStepLR', milestones=[1, 2], gamma=0.5, by_epoch=True),
    ]
    cfg.default_hooks.checkpoint.update(
        by_epoch=by_epoch, interval=1 if by_epoch else 2, max_keep_ckpts=1
    )
    return cfg


def assert_same_checkpoint(ours: Path, theirs: Path) -> None:
    one, other = load(ours), load(theirs)
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(one[key], other[key], key)
    for key in ('epoch', 'iter'):
        assert one['meta'][key] == other['meta'][key]


@pytest.mark.parametrize(
    ('by_epoch', 'options'),
    [
        (True, {}),
        (False, {}),
        (False, {'accumulative_counts': 3, 'clip_grad': dict(max_norm=1.0)}),
    ],
    ids=['by epoch', 'by iteration', 'accumulating'],
)
def test_killed_at_five_moments(data: Path, tmp_path: Path, by_epoch: bool, options: dict) -> None:
    """At five random moments, and once more in the middle of writing a checkpoint."""
    rng = np.random.default_rng(len(options) + by_epoch)
    iterations = sorted(rng.choice(range(1, 12), size=5, replace=False).tolist())
    tasks = ALL if not (by_epoch or options) else TWO
    cfg = config(data, by_epoch, tasks, workers=1)
    cfg.optim_wrapper.update(options)
    assert in_child(functools.partial(run, cfg, tmp_path / 'whole')) == 0

    work_dir = tmp_path / 'killed'
    # An iteration takes more than 0.01 s, so that the run does not end before it is killed.
    hooks = [dict(type='KillHook', iteration=i, delay=float(rng.uniform(0, 0.01 * (12 - i))))
             for i in iterations]  # fmt: skip
    hooks.insert(2, dict(type='KillWhileWritingHook', number=1))
    for hook in hooks:
        doomed = cfg.copy()
        doomed.custom_hooks = [hook]
        code = in_child(functools.partial(run, doomed, work_dir, resume='auto'))
        assert code == -signal.SIGKILL
        named = [path for path in work_dir.glob('*.pth') if not is_whole(path)]
        assert not named, 'a checkpoint that is not whole has its final name'
    assert in_child(functools.partial(run, cfg, work_dir, resume='auto')) == 0
    assert_same_checkpoint(work_dir / LAST[by_epoch], tmp_path / 'whole' / LAST[by_epoch])


def test_resume_at_every_iteration(data: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, before its end, and at its end before it is counted."""
    cfg = config(data, by_epoch=False)
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    run(cfg, tmp_path / 'whole')
    for iteration in (1, 3, 4, 8, 12):
        runner = run(
            cfg,
            tmp_path / f'from_{iteration}',
            resume=tmp_path / f'whole/iter_{iteration}.pth',
        )
        assert (runner.epoch, runner.iter) == (3, 12)
        if iteration < 12:
            assert_same_checkpoint(
                tmp_path / f'from_{iteration}/iter_12.pth', tmp_path / 'whole/iter_12.pth'
            )


@pytest.mark.parametrize(
    'randomness', [{'seed': None}, {'seed': 99}], ids=['no seed', 'another seed']
)
def test_a_resumed_run_has_the_seed_of_the_first_one(
    data: Path, tmp_path: Path, randomness: dict
) -> None:
    cfg = config(data, by_epoch=True)
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.randomness = dict(seed=None)
    run(cfg, tmp_path / 'whole')
    cfg.randomness = randomness
    run(cfg, tmp_path / 'resumed', resume=tmp_path / 'whole/epoch_1.pth')
    assert_same_checkpoint(tmp_path / 'resumed/epoch_3.pth', tmp_path / 'whole/epoch_3.pth')


def test_another_epoch_length_is_refused(data: Path, tmp_path: Path) -> None:
    cfg = config(data, by_epoch=True)
    run(cfg, tmp_path)
    cfg.train_cfg.update(max_epochs=9, iters_per_epoch=5)
    with pytest.raises(ValueError, match=r'train_cfg\.iters_per_epoch=5 .* epoch 3, iteration 12'):
        run(cfg, tmp_path, resume='auto')


def test_same_seed_same_weights(data: Path, tmp_path: Path) -> None:
    cfg = config(data, by_epoch=True, tasks=ALL)
    for name, seed in (('one', 5), ('two', 5), ('three', 6)):
        cfg.randomness = dict(seed=seed)
        run(cfg, tmp_path / name)
    newest = {name: newest_checkpoint(tmp_path / name) for name in ('one', 'two', 'three')}
    assert_same_checkpoint(newest['one'], newest['two'])
    with pytest.raises(AssertionError):
        assert_same_checkpoint(newest['one'], newest['three'])
