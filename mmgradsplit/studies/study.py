"""What all studies share: a folder of trainings that one process owns, and how they are run."""

import json
import math
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from mmengine.config import Config
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmgradsplit.apis.preparation import prepare, use_mixed_precision
from mmgradsplit.utils import write_json

from .trainings import OUTPUT, Failure, Training

POLL_SECONDS = 1.0


class Study:
    """Many trainings in a folder that belongs to one process and to the configs it was begun with.

    What was finished in an earlier call is not trained again, and what was stopped goes on.

    Args:
        out: The folder.
        repeat: Number of seeds, from ``randomness.seed`` of a config on (0 if it has none).
        gpus: GPUs to spread the trainings over; without, the default device.
        processes: Trainings at once; by default, one a GPU.
        amp: Mixed precision, see :func:`~mmgradsplit.apis.preparation.use_mixed_precision`.
        cfg_options: Values for keys of each config.
        console: For progress and results.

    Raises:
        ValueError: If ``repeat`` is less than 1.
    """

    def __init__(
        self,
        out: str | Path,
        repeat: int,
        *,
        gpus: Sequence[str] = (),
        processes: int | None = None,
        amp: bool = False,
        cfg_options: Mapping[str, Any] | None = None,
        console: Console | None = None,
    ) -> None:
        if repeat < 1:
            raise ValueError(f'--repeat must be at least 1, got {repeat}')
        self.root = Path(out)
        self.repeat = repeat
        self.gpus = gpus
        self.processes = processes or max(1, len(gpus))
        self.amp = amp
        self.cfg_options = cfg_options
        self.console = console or Console()

    def prepare(self, config: str | Path | Config) -> Config:
        """The config, ready for training.

        Raises:
            ValueError: If it is never validated.
        """
        cfg = prepare(config, self.root, self.cfg_options)
        if cfg.get('val_cfg') is None:
            raise ValueError(
                f"val_cfg: the config '{cfg.filename or ''}' has no validation, so nothing could "
                f'be said of what it trains; set val_cfg, val_dataloader and val_evaluator'
            )
        return cfg

    def set_precision(self, cfg: Config) -> None:
        """Let a config train in mixed precision, where that was asked for."""
        if self.amp:
            use_mixed_precision(cfg)

    def seeds(self, cfg: Config) -> range:
        """The seeds of a config."""
        first = first_seed(cfg)
        return range(first, first + self.repeat)

    @contextmanager
    def owned(self, contents: Mapping[str, Any]) -> Iterator[None]:
        """Own the folder: one process at a time, and no config under another's name.

        Args:
            contents: What decides the trainings, by name of the config; ``trainings.json`` keeps
                it.

        Raises:
            BlockingIOError: If another process works in the folder.
            ValueError: If the folder holds trainings of another config of such a name; they stay.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / '.lock')
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BlockingIOError(
                f"another process works in '{self.root}'; let it finish, or choose another --out"
            ) from None
        try:
            path = self.root / 'trainings.json'
            earlier = json.loads(path.read_text()) if path.is_file() else {}
            for name, content in contents.items():
                differences = list(_differences(earlier.get(name, content), content))
                if differences:
                    raise ValueError(
                        f"'{self.root}' holds trainings of '{name}' with another config, which are "
                        f'kept; choose another --out. It differs in: {"; ".join(differences[:5])}'
                    )
            write_json(path, {**earlier, **contents}, sort_keys=True)
            yield
        finally:
            lock.release()

    def attempt(
        self, trainings: Sequence[Training], others: Sequence[Training] = ()
    ) -> dict[Training, Failure]:
        """Run all trainings that are not finished yet, each in a process of its own.

        One that fails does not stop the others.

        Args:
            trainings: The trainings.
            others: What comes before and after: progress and time left are over all.

        Returns:
            Why those that failed did.
        """
        failed: dict[Training, Failure] = {}
        waiting = [t for t in trainings if self._metrics(t, failed) is None and t not in failed]
        finished = len(trainings) - len(waiting) - len(failed)
        if finished:
            self.console.print(f'{finished} of {len(trainings)} are finished already.')
        running: dict[Training, tuple[subprocess.Popen, str | None, float]] = {}
        progress = Progress(
            TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
            TextColumn('steps, left:'), TimeRemainingColumn(),
            console=self.console, speed_estimate_period=900,
        )  # fmt: skip
        elsewhere = sum(t.done(self.root) for t in others)
        bar = progress.add_task('', total=sum(t.steps for t in [*trainings, *others]))

        def show() -> None:
            done = elsewhere + sum(t.done(self.root) for t in trainings)
            names = escape(', '.join(t.name for t in running))
            progress.update(bar, completed=done, description=names)

        with progress:
            try:
                while waiting or running:
                    while waiting and len(running) < self.processes:
                        training = waiting.pop(0)
                        used = [gpu for _, gpu, _ in running.values()]
                        gpu = min(self.gpus, key=used.count) if self.gpus else None
                        running[training] = (training.start(self.root, gpu), gpu, time.monotonic())
                    show()
                    time.sleep(POLL_SECONDS)
                    for training, (process, _, begin) in list(running.items()):
                        if process.poll() is None:
                            continue
                        del running[training]
                        metrics, title = self._metrics(training, failed), escape(training.title)
                        if metrics is None:
                            failed.setdefault(training, training.failure(self.root))
                            self.console.print(f'[red]{title}: failed[/red]')
                        else:
                            minutes = f'{(time.monotonic() - begin) / 60:.1f} min'
                            self.console.print(f'{title}: {_text(metrics)} ({minutes})')
                show()
            finally:
                for process, _, _ in running.values():
                    process.terminate()
                for process, _, _ in running.values():
                    process.wait()
        return failed

    def _metrics(
        self, training: Training, failed: dict[Training, Failure]
    ) -> dict[str, float] | None:
        """Metrics of a training, or None; one whose result is damaged has failed."""
        try:
            return training.result(self.root)
        except ValueError as error:
            failed[training] = Failure('', str(error))
            return None

    def run(self, trainings: Sequence[Training]) -> dict[Training, dict[str, float]]:
        """Run the trainings that are not finished, and return the metrics of all.

        Raises:
            ValueError: If a result is damaged, before anything is trained.
            RuntimeError: If trainings failed, after all others have been finished.
        """
        for training in trainings:
            training.result(self.root)
        self.raise_failed(self.attempt(trainings), len(trainings))
        return {training: training.result(self.root) or {} for training in trainings}

    def raise_failed(self, failed: Mapping[Training, Failure], number: int) -> None:
        """Say which trainings failed.

        Args:
            failed: Why they did.
            number: How many trainings there are in all.

        Raises:
            RuntimeError: If any failed.
        """
        texts = [
            f'--- {training.title} ({training.folder(self.root) / OUTPUT}):\n{failure.text}'
            for training, failure in failed.items()
        ]
        if texts:
            raise RuntimeError(
                f'{len(failed)} of {number} trainings failed; the others are finished and '
                f'kept. Mend what the messages say and start again:\n' + '\n'.join(texts)
            )


def first_seed(cfg: Config) -> int:
    """The seed that a config names, 0 if it names none."""
    return (cfg.get('randomness') or {}).get('seed') or 0


def config_content(cfg: Config) -> dict[str, Any]:
    """What decides a training but for its seed, as JSON holds it; ``seed`` is the first seed."""
    besides = ('work_dir', 'launcher', 'randomness')
    kept = {key: value for key, value in cfg.to_dict().items() if key not in besides}
    return json.loads(json.dumps(dict(kept, seed=first_seed(cfg)), default=str))


def _differences(old: Any, new: Any, key: str = '') -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _differences(
                old.get(name, 'nothing'), new.get(name, 'nothing'), f'{key}.{name}'.lstrip('.')
            )
    elif old != new:
        yield f'{key} was {_short(old)}, is {_short(new)}'


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else text[:57] + '...'


def _text(metrics: Mapping[str, float]) -> str:
    shown = [f'{k} {v:.2f}' for k, v in metrics.items() if '/' in k and math.isfinite(v)]
    return ', '.join(shown[:6])
