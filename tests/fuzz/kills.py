"""Kills runs at random moments, and resumes them: the end has to be that of a run left alone.

``python -m tests.fuzz.kills --kills 100`` spreads the kills over all set-ups. A kill is by SIGKILL:
at an iteration, in a validation, while a checkpoint is written or moved to its place, or between
any two changes of files.
"""

import argparse
import functools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[1])]

from fixtures_training import assert_same, in_child, load, run  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from toy_joint import TASKS  # noqa: E402
from toy_weighting import AMTL, GRADNORM, config, numbers  # noqa: E402

from mmgradsplit.registry import HOOKS  # noqa: E402

EPOCHS, LENGTH = 4, 3
UW, PCGRAD = dict(type='torchjd.UW'), dict(type='torchjd.PCGrad')
SPLIT = dict(relations='none', modules=['conv'])
# Calls that change files. A kill comes before one of them.
CHANGES = ('fsync', 'replace', 'remove', 'unlink')


def plain(cfg: Config, **wrapper: Any) -> Config:
    """The wrapper of mmengine, with momentum, whose state a resumed run needs."""
    sgd = dict(type='SGD', lr=0.05, momentum=0.9)
    cfg.optim_wrapper = {'type': 'OptimWrapper', 'optimizer': sgd, **wrapper}
    return cfg


def ours(cfg: Config, kind: str, **wrapper: Any) -> Config:
    """A wrapper of ours."""
    return plain(cfg, type=kind, **wrapper)


def in_turn(cfg: Config) -> Config:
    """Round-robin training on the same data."""
    cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
    cfg.train_cfg = dict(
        type='RoundRobinTrainLoop', max_epochs=EPOCHS, iters_per_epoch=LENGTH, val_interval=1
    )
    return cfg


def by_task(cfg: Config, **wrapper: Any) -> Config:
    """A wrapper of mmengine's for each task."""
    one = plain(cfg, **wrapper).optim_wrapper
    cfg.optim_wrapper = dict(constructor='ToyByTask', **dict.fromkeys(TASKS, one))
    return cfg


def saving(cfg: Config, **options: Any) -> Config:
    """Other options of the checkpoint hook."""
    cfg.default_hooks.checkpoint.update(options)
    return cfg


def scheduled(cfg: Config, *schedulers: dict) -> Config:
    """Schedulers of the learning rate."""
    cfg.param_scheduler = list(schedulers)
    return cfg


def both_kinds(cfg: Config) -> Config:
    """Checkpoints by epoch and by iteration in one folder."""
    cfg.custom_hooks = [dict(type='AtomicCheckpointHook', by_epoch=False, interval=2)]
    return cfg


def ista(cfg: Config, **options: Any) -> Config:
    """Sub-steps, or allocations that come back after a gap."""
    cfg.train_cfg.allocator = dict(options)
    return cfg


PLATEAU = dict(
    type='ReduceOnPlateauLR', monitor='norm/accuracy', rule='greater', factor=0.5, patience=0,
    by_epoch=True,
)  # fmt: skip
BEST = dict(save_best='first/accuracy', max_keep_ckpts=1)
SETUPS: dict[str, Callable[[Config], Config]] = {
    'plain': plain,
    'plain, accumulating': lambda c: plain(c, accumulative_counts=2),
    'plain in turn, accumulating': lambda c: plain(in_turn(c), accumulative_counts=4),
    'plain, clipped': lambda c: plain(c, accumulative_counts=2, clip_grad=dict(max_norm=0.1)),
    'bfloat16': lambda c: plain(
        c, type='mmgradsplit.AutocastOptimWrapper', dtype='bfloat16', accumulative_counts=2
    ),
    'uniform in turn': lambda c: ours(in_turn(c), 'MultiTaskOptimWrapper', accumulative_counts=2),
    'learned weights': lambda c: ours(c, 'MultiTaskOptimWrapper', weighting=UW),
    'learned weights, accumulating': lambda c: ours(
        c, 'MultiTaskOptimWrapper', weighting=UW, accumulative_counts=2
    ),
    'GradNorm, accumulating': lambda c: ours(
        c, 'MultiTaskOptimWrapper', weighting=GRADNORM, accumulative_counts=2
    ),
    'DWA': lambda c: ours(c, 'MultiTaskOptimWrapper', weighting=dict(type='torchjd.DWA')),
    'AMTL': lambda c: ours(c, 'MultiTaskOptimWrapper', weighting=AMTL),
    'AMTL, accumulating in turn': lambda c: ours(
        in_turn(c), 'MultiTaskOptimWrapper', weighting=AMTL, accumulative_counts=4
    ),
    'aggregator': lambda c: ours(c, 'AggregatorOptimWrapper', aggregator=PCGRAD),
    'aggregator, accumulating': lambda c: ours(
        c, 'AggregatorOptimWrapper', aggregator=PCGRAD, weighting=UW, accumulative_counts=2
    ),
    'aggregator in turn, accumulating': lambda c: ours(
        in_turn(c), 'AggregatorOptimWrapper', aggregator=PCGRAD, accumulative_counts=2
    ),
    'aggregator on features, accumulating': lambda c: ours(
        c, 'AggregatorOptimWrapper', aggregator=PCGRAD, on='features', accumulative_counts=2
    ),
    'GradSplit': lambda c: ours(in_turn(c), 'GradSplitOptimWrapper', **SPLIT),
    'GradSplit, accumulating': lambda c: ours(
        in_turn(c), 'GradSplitOptimWrapper', accumulative_counts=2, **SPLIT
    ),
    'GradSplit, one update': lambda c: ours(
        in_turn(c), 'GradSplitOptimWrapper', optimizers='shared', update='iteration',
        accumulative_counts=2, **SPLIT,
    ),
    'ISTA': lambda c: ista(plain(c, accumulative_counts=2), type='ISTA'),
    'STA with a gap': lambda c: ista(plain(c), type='STA', gap=2),
    'plateau': lambda c: scheduled(plain(c), PLATEAU),
    'schedules': lambda c: scheduled(
        plain(c),
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
        dict(type='MultiStepLR', milestones=[2, 3], gamma=0.5, by_epoch=True),
    ),
    'best': lambda c: saving(plain(c), **BEST),
    'best of two': lambda c: saving(
        plain(c), save_best=['first/accuracy', 'norm/accuracy'], max_keep_ckpts=2
    ),
    'best, rarely saved': lambda c: saving(plain(c), interval=3, **BEST),
    'by iteration': lambda c: saving(plain(c), by_epoch=False, interval=2, max_keep_ckpts=1),
    'best by iteration': lambda c: saving(plain(c), by_epoch=False, interval=2, **BEST),
    'both kinds': lambda c: both_kinds(plain(c, accumulative_counts=2)),
}  # fmt: skip


@HOOKS.register_module(force=True)
class Reaper(Hook):
    """Kills its own process at one moment.

    Args:
        place: ``'iteration'``, ``'step'`` (its end), ``'validation'``, ``'validated'``, or one of
            :data:`CHANGES`.
        number: At which of them.
    """

    priority = 'VERY_LOW'

    def __init__(self, place: str, number: int) -> None:
        self.place, self.left = place, number

    def meet(self, place: str) -> None:
        """Kill, if this is the moment."""
        self.left -= place == self.place
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_run(self, runner: Runner) -> None:
        if self.place in CHANGES:
            change = getattr(os, self.place)

            def late(*args: Any, **options: Any) -> Any:
                self.meet(self.place)
                return change(*args, **options)

            setattr(os, self.place, late)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.meet('iteration')

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.meet('step')

    def before_val_epoch(self, runner: Runner) -> None:
        self.meet('validation')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.meet('validated')


def moments(rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """Random moments of a run: place and number, as :class:`Reaper` takes them."""
    places = ('iteration', 'step', 'validation', 'validated', *CHANGES)
    while True:
        yield str(rng.choice(places)), int(rng.integers(0, 4))


def setup(name: str, folder: Path) -> Config:
    """The config of a set-up."""
    cfg = config(folder, dict(type='UniformWeighting'), validated=True)
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.log_level = 'ERROR'
    cfg.default_hooks.checkpoint = dict(type='AtomicCheckpointHook', interval=1)
    return SETUPS[name](cfg)


def try_setup(name: str, kills: int, moments: Iterator[tuple[str, int]], folder: Path) -> None:
    """Kill and resume a run, and compare its end with that of a run left alone.

    Args:
        name: Of the set-up.
        kills: Number of kills.
        moments: When; of those at which a run has ended already, there may be as many as you like.
        folder: To work in.

    Raises:
        AssertionError: If the ends differ.
    """
    cfg = setup(name, folder)
    assert in_child(functools.partial(run, cfg, folder / 'whole')) == 0
    work_dir, killed = folder / 'killed', 0
    while killed < kills:
        place, number = next(moments)
        doomed = cfg.copy()
        reaper = dict(type='Reaper', place=place, number=number)
        doomed.custom_hooks = [*(cfg.get('custom_hooks') or []), reaper]
        code = in_child(functools.partial(run, doomed, work_dir, resume='auto'))
        assert code in (0, -signal.SIGKILL), f'it ended with {code}'
        killed += code != 0
        if code == 0:  # all was trained before the moment came: once more
            compare(work_dir, folder / 'whole')
            shutil.rmtree(work_dir)
    assert in_child(functools.partial(run, cfg, work_dir, resume='auto')) == 0
    compare(work_dir, folder / 'whole')


def compare(ours: Path, theirs: Path) -> None:
    """Assert that two work dirs have the same checkpoints of the end, bit for bit."""
    files = [sorted(path.name for path in of.glob('*.pth')) for of in (ours, theirs)]
    assert files[0] == files[1], f'{files[0]} in place of {files[1]}'
    for name in files[0]:
        one, other = load(ours / name), load(theirs / name)
        for key in ('state_dict', 'optimizer', 'param_schedulers', 'waiting'):
            assert_same(numbers(one.get(key)), numbers(other.get(key)), f'{name}: {key}')
        for key in ('epoch', 'iter'):
            assert one['meta'][key] == other['meta'][key], f'{name}: {key}'
        infos = [
            {
                key: Path(value).name if isinstance(value, str) and '/' in value else value
                for key, value in each['message_hub']['runtime_info'].items()
                if key.startswith(('best', 'keep'))
            }
            for each in (one, other)
        ]
        assert infos[0] == infos[1], f'{name}: {infos}'


def main() -> None:
    """Try all set-ups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=100, help='in all')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--setups', nargs='+', choices=[*SETUPS], default=[*SETUPS])
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng, total, failed, start = np.random.default_rng(args.seed), 0, [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run(setup('plain', Path(folder)), Path(folder, 'first'))  # imports what a run imports
        for index, name in enumerate(args.setups):
            due = (args.kills * (index + 1)) // len(args.setups)
            kills = due - (args.kills * index) // len(args.setups)
            try:
                try_setup(name, kills, moments(rng), Path(folder, str(index)))
                total += kills
                print(f'{name}: {kills} kills, bit-equal', flush=True)
            except (AssertionError, TimeoutError) as error:
                failed.append(name)
                print(f'{name}: {error}', flush=True)
    seconds = time.monotonic() - start
    print(f'{total} kills over {len(args.setups)} set-ups in {seconds:.0f} s; failed: {failed}')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
