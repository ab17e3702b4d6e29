"""Many trainings with one command: one after another, or spread over GPUs, never one twice.

May import all of mmgradsplit.
"""

import copy
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmgradsplit.apis.methods import follows_validation
from mmgradsplit.registry import ALLOCATORS

from . import training_process
from .forked_training import ForkedTraining
from .training_process import CONFIG, RESULT

# Hooks that only show what was trained.
SHOWING = ('SummaryHook', 'PanelHook')
POLL_SECONDS = 1.0
OUTPUT = 'output.txt'
LAST_LINES = 12


@dataclass(frozen=True)
class Training:
    """One training of many.

    Attributes:
        name: What it is called in tables, and its folder below that of all trainings.
        seed: Seed of the run.
        cfg: Its config, prepared; the seed and the folder are set when it is started.
    """

    name: str
    seed: int
    cfg: Config

    @property
    def title(self) -> str:
        """Name and seed."""
        return f'{self.name}, seed {self.seed}'

    def folder(self, root: Path) -> Path:
        """Work dir of the training."""
        return root / self.name / f'seed_{self.seed}'

    @cached_property
    def steps(self) -> int:
        """Steps of the training, the measure of its length."""
        loop = self.cfg.train_cfg
        per_epoch = loop.get('iters_per_epoch')
        if per_epoch is None:  # joint training: once through the data
            init_default_scope(self.cfg.default_scope)
            per_epoch = len(Runner.build_dataloader(self.cfg.train_dataloader))
        return int(loop.max_epochs * per_epoch * self.steps_per_iteration)

    @cached_property
    def steps_per_iteration(self) -> int:
        """Task steps of a major iteration, sub-steps of an iteration of joint training."""
        tasks = len(self.cfg.model.get('tasks', {}))
        if 'dataset' not in self.cfg.train_dataloader:
            return tasks
        allocator = self.cfg.train_cfg.get('allocator', dict(type='FullTask'))
        return ALLOCATORS.build(allocator).sub_steps(tasks)

    def write(self, root: Path) -> None:
        """Write the config of the run.

        It is validated once, after its last epoch, whatever ``val_interval`` says, unless its
        weighting follows the validation.
        """
        cfg = copy.deepcopy(self.cfg)
        cfg.setdefault('randomness', {})
        cfg.randomness['seed'] = self.seed
        if not follows_validation(cfg):
            cfg.train_cfg['val_begin'] = cfg.train_cfg.max_epochs + 1
            cfg.train_cfg.pop('dynamic_intervals', None)
        cfg.custom_hooks = [
            hook
            for hook in cfg.get('custom_hooks') or []
            if str(hook['type']).rpartition('.')[2] not in SHOWING
        ]
        folder = self.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f'partial_{CONFIG}'
        cfg.dump(partial)
        os.replace(partial, folder / CONFIG)

    def result(self, root: Path) -> dict[str, float] | None:
        """Metrics of the finished training, or None.

        Raises:
            ValueError: If the file of the result is damaged.
        """
        path = self.folder(root) / RESULT
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text())['metrics']
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"'{path}' is damaged ({error}); remove the file to finish this training again"
            ) from error

    def done(self, root: Path) -> int:
        """Steps done so far, as the log says."""
        if (self.folder(root) / RESULT).is_file():
            return self.steps
        iteration = 0
        for path in sorted(self.folder(root).glob('*/vis_data/scalars.json'))[-1:]:
            for line in reversed(path.read_text().splitlines()):
                try:
                    iteration = json.loads(line)['iter']
                    break
                except (ValueError, KeyError):
                    continue  # a validation, or a line that is being written
        return iteration * self.steps_per_iteration


def run_trainings(
    trainings: Sequence[Training],
    root: Path,
    gpus: Sequence[str] = (),
    processes: int | None = None,
    console: Console | None = None,
) -> dict[Training, dict[str, float]]:
    """Run all trainings that are not finished yet, and return the metrics of all.

    Each runs in a process of its own, with its output in ``output.txt`` of its folder. One that
    fails does not stop the others.

    Args:
        trainings: The trainings.
        root: Folder of all of them.
        gpus: Names of the GPUs to spread them over; without, the default device.
        processes: Trainings at once; by default, one a GPU.
        console: For progress and results.

    Returns:
        The metrics of each training.

    Raises:
        RuntimeError: If trainings failed, after all others have been finished.
    """
    failed = try_trainings(trainings, root, gpus, processes, console)
    raise_failed(failed, len(trainings), root)
    return {training: training.result(root) or {} for training in trainings}


def try_trainings(
    trainings: Sequence[Training],
    root: Path,
    gpus: Sequence[str] = (),
    processes: int | None = None,
    console: Console | None = None,
    others: Sequence[Training] = (),
) -> dict[Training, str]:
    """As :func:`run_trainings`, for who goes on where trainings fail.

    Args:
        trainings: The trainings.
        root: Folder of all of them.
        gpus: Names of the GPUs to spread them over; without, the default device.
        processes: Trainings at once; by default, one a GPU.
        console: For progress and results.
        others: What comes before and after: progress and time left are over all.

    Returns:
        The last lines of the output of each training that failed.
    """
    console = console or Console()
    processes = processes or max(1, len(gpus))
    waiting = [t for t in trainings if t.result(root) is None]
    if len(waiting) < len(trainings):
        console.print(f'{len(trainings) - len(waiting)} of {len(trainings)} are finished already.')
    running: dict[Training, tuple[subprocess.Popen | ForkedTraining, str | None, float]] = {}
    failed: dict[Training, str] = {}
    progress = Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
        TextColumn('steps, left:'), TimeRemainingColumn(),
        console=console, speed_estimate_period=900,
    )  # fmt: skip
    elsewhere = sum(t.done(root) for t in others)
    with progress:
        bar = progress.add_task('', total=sum(t.steps for t in [*trainings, *others]))
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    training = waiting.pop(0)
                    used = [gpu for _, gpu, _ in running.values()]
                    gpu = min(gpus, key=used.count) if gpus else None
                    running[training] = (_start(training, root, gpu), gpu, time.monotonic())
                progress.update(
                    bar,
                    completed=elsewhere + sum(t.done(root) for t in trainings),
                    description=', '.join(t.name for t in running),
                )
                time.sleep(POLL_SECONDS)
                for training, (process, _, begin) in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[training]
                    metrics = training.result(root)
                    minutes = (time.monotonic() - begin) / 60
                    if metrics is None:
                        failed[training] = _tail(training.folder(root) / OUTPUT)
                        console.print(f'[red]{training.title}: failed[/red]')
                    else:
                        console.print(f'{training.title}: {_text(metrics)} ({minutes:.1f} min)')
            completed = elsewhere + sum(t.done(root) for t in trainings)
            progress.update(bar, completed=completed, description='')
        finally:
            for process, _, _ in running.values():
                process.terminate()
            for process, _, _ in running.values():
                process.wait()
    return failed


def raise_failed(failed: Mapping[Training, str], number: int, root: Path) -> None:
    """Say which trainings failed.

    Args:
        failed: The last lines of their outputs.
        number: How many trainings there are in all.
        root: Folder of all of them.

    Raises:
        RuntimeError: If any failed.
    """
    if failed:
        texts = [
            f'--- {training.title} ({training.folder(root) / OUTPUT}):\n{text}'
            for training, text in failed.items()
        ]
        raise RuntimeError(
            f'{len(failed)} of {number} trainings failed; the others are finished and '
            f'kept. Mend what the messages say and start again:\n' + '\n'.join(texts)
        )


def _start(training: Training, root: Path, gpu: str | None) -> subprocess.Popen | ForkedTraining:
    training.write(root)
    folder = training.folder(root)
    if get_device() == 'cpu':
        return ForkedTraining(folder, folder / OUTPUT)
    env = dict(os.environ)
    if gpu is not None:
        env['CUDA_VISIBLE_DEVICES'] = gpu
    with (folder / OUTPUT).open('a') as output:
        return subprocess.Popen(
            [sys.executable, '-m', training_process.__name__, str(folder)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
        )


def _tail(path: Path) -> str:
    return '\n'.join(path.read_text(errors='replace').splitlines()[-LAST_LINES:])


def _text(metrics: Mapping[str, float]) -> str:
    shown = [f'{k} {v:.2f}' for k, v in metrics.items() if '/' in k and math.isfinite(v)]
    return ', '.join(shown[:6])
