"""One training of a study: its config and folder, how it is started, and what came of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner

from mmgradsplit.apis.methods import needs_validation
from mmgradsplit.engine.loops.repeats import task_repeats
from mmgradsplit.registry import ALLOCATORS
from mmgradsplit.utils import write_atomically

PROCESS = f'{__package__}.training_process'
# Files of a training's folder.
CONFIG, RESULT, FAILURE, OUTPUT = 'config.py', 'result.json', 'failure.json', 'output.txt'
# Hooks that only show what was trained.
SHOWING = ('SummaryHook', 'PanelHook')
LAST_LINES = 12
# Batches of an epoch of joint training, by the text of train_dataloader.
_batches: dict[str, int] = {}


@dataclass(frozen=True)
class Failure:
    """Why a training has no result.

    Attributes:
        error: Type of the exception that ended its latest attempt; empty if none did, as when the
            process was killed.
        text: The last lines of its output.
    """

    error: str
    text: str

    @property
    def diverged(self) -> bool:
        """Whether a loss was not finite."""
        return self.error == FloatingPointError.__name__


@dataclass(frozen=True, eq=False)
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
        loop, loader = self.cfg.train_cfg, self.cfg.train_dataloader
        per_epoch = loop.get('iters_per_epoch')
        if per_epoch is None:  # joint training: once through the data
            if str(loader) not in _batches:
                init_default_scope(self.cfg.default_scope)
                _batches[str(loader)] = len(Runner.build_dataloader(loader))
            per_epoch = _batches[str(loader)]
        return int(loop.max_epochs * per_epoch * self.steps_per_iteration)

    @cached_property
    def steps_per_iteration(self) -> int:
        """Task steps of a major iteration, sub-steps of an iteration of joint training."""
        if 'dataset' not in self.cfg.train_dataloader:
            return sum(task_repeats(self.cfg.train_dataloader).values())
        tasks = len(self.cfg.model.get('tasks', {}))
        allocator = self.cfg.train_cfg.get('allocator', dict(type='FullTask'))
        return ALLOCATORS.build(allocator).sub_steps(tasks)

    def write(self, root: Path) -> None:
        """Write the config of the run.

        It is validated once, after its last epoch, whatever ``val_interval`` says, unless something
        in the training follows the validations.
        """
        cfg = Config(self.cfg.to_dict(), filename=self.cfg.filename, format_python_code=False)
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
        write_atomically(self.folder(root) / CONFIG, cfg.pretty_text.encode())

    def start(self, root: Path, gpu: str | None = None) -> subprocess.Popen:
        """Start it in a process of its own, with its output in ``output.txt`` of its folder.

        Args:
            root: Folder of all trainings.
            gpu: Name of its GPU; without, the default device.
        """
        self.write(root)
        folder = self.folder(root)
        (folder / FAILURE).unlink(missing_ok=True)  # of an earlier attempt, as is the output
        with (folder / OUTPUT).open('w') as output:
            return subprocess.Popen(
                [sys.executable, '-m', PROCESS, str(folder)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | ({} if gpu is None else {'CUDA_VISIBLE_DEVICES': gpu}),
            )

    def result(self, root: Path) -> dict[str, float] | None:
        """Metrics of the finished training, or None.

        Raises:
            ValueError: If the file of the result is damaged.
        """
        content = self._result(root)
        return None if content is None else content['metrics']

    def weights(self, root: Path) -> str | None:
        """What the finished network shares with those of the same weights, where it is known."""
        return (self._result(root) or {}).get('weights')

    def _result(self, root: Path) -> dict[str, Any] | None:
        path = self.folder(root) / RESULT
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text())
            metrics = {name: float(value) for name, value in content['metrics'].items()}
            return dict(content, metrics=metrics)
        except Exception as error:  # whatever the file holds
            raise ValueError(
                f"'{path}' is damaged ({error!r}); remove the file to finish this training again"
            ) from error

    def failure(self, root: Path) -> Failure:
        """What ended its latest attempt, which left no result."""
        path, output = self.folder(root) / FAILURE, self.folder(root) / OUTPUT
        error = ''
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            error = str(json.loads(path.read_text())['type'])
        lines = output.read_text(errors='replace').splitlines()
        return Failure(error, '\n'.join(lines[-LAST_LINES:]))

    def done(self, root: Path) -> int:
        """Steps done so far, as the log says."""
        if (self.folder(root) / RESULT).is_file():
            return self.steps
        iteration = 0
        for path in sorted(self.folder(root).glob('*/vis_data/scalars.json'))[-1:]:
            for line in reversed(path.read_text(errors='replace').splitlines()):
                try:
                    iteration = int(json.loads(line)['iter'])
                    break
                except (ArithmeticError, ValueError, KeyError, TypeError, RecursionError):
                    continue  # a validation, or a line that is being written, or damaged
        return iteration * self.steps_per_iteration


def follows_validation(cfg: Config) -> bool:
    """Whether something in a training acts upon its validations.

    That is its method, a scheduler that is given the metrics, or a hook that saves the best
    checkpoint or monitors a metric.
    """
    hooks = _typed([cfg.get('default_hooks'), cfg.get('custom_hooks')])
    kinds = [each['type'] for each in _typed(cfg.get('param_scheduler'))]
    schedulers = [PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind for kind in kinds]
    return (
        needs_validation(cfg)
        or any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers)
        or any(hook.get('save_best') or hook.get('monitor') for hook in hooks)
    )


def _typed(part: Any) -> Iterator[Mapping[str, Any]]:
    """What is to be built in a part of a config: alone, in a list, or by name."""
    if isinstance(part, Mapping) and 'type' in part:
        yield part
    elif isinstance(part, Mapping | list | tuple):
        for each in part.values() if isinstance(part, Mapping) else part:
            yield from _typed(each)
