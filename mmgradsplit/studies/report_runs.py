"""Reads what a run has left in its work dir: config, log, metrics, and how far it came."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.config import Config

from mmgradsplit.apis.checkpoints import numbered_checkpoints
from mmgradsplit.functional import by_task

from .measured import references_of
from .rows import FINISHED, SUMS
from .run_config import read_config

LOGS = '*/vis_data/scalars.json'
SEED_FOLDER, STAMP_FOLDER = re.compile(r'seed_\d+'), re.compile(r'\d{8}_\d{6}')
# What a task's loss, or gradient, is multiplied by, in the log as 'weight/task'.
FACTORS = ('weight', 'aggregator')
# Keys of a validation's log line that are no metrics.
NO_METRICS = ('step', 'time', 'data_time')
# What of a config does not change what is trained.
BESIDES = ('work_dir', 'experiment_name', 'launcher', 'randomness', 'resume')
# Iterations that no training has.
MOST = 10**12

Curve = dict[int, float]
"""Values by iteration, in ascending order."""


@dataclass
class Run:
    """One training.

    Attributes:
        folder: Its work dir.
        name: What it is called: the work dir, or the folder of its seeds, or its config.
        config_name: Name of its config file, without the suffix.
        cfg: Its config, as it was when it began (the last time).
        seed: Its seed, or None if that is not known.
        metrics: The latest value of each metric, NaN where it is not finite.
        losses: The loss of each task, by its name in the log.
        history: Each metric over the validations.
        weights: Weights of the tasks, ``weight/task``, and of their gradients, ``aggregator/task``.
        seconds: Median time of an iteration in the log, in s, or None without a log line.
        state: ``finished``, or what is wrong, in words.
        content: What of its config decides what is trained, but for the seed, as text.
    """

    folder: Path
    name: str
    config_name: str
    cfg: Config
    seed: int | None
    metrics: dict[str, float]
    losses: dict[str, Curve] = field(default_factory=dict)
    history: dict[str, Curve] = field(default_factory=dict)
    weights: dict[str, Curve] = field(default_factory=dict)
    seconds: float | None = None
    state: str = FINISHED
    content: str = ''

    @property
    def references(self) -> dict[str, dict[str, Any]]:
        """The config's single-task references: ``value`` and ``lower_is_better`` of each metric."""
        found = references_of(self.cfg)
        return {name: dict(of, value=_number(of['value'])) for name, of in found.items()}

    @property
    def main_metrics(self) -> list[str]:
        """The metrics of each task that the references name, else the task's first in the log."""
        measured = by_task(name for name in self.metrics if name not in SUMS)
        main = {task: names[:1] for task, names in measured.items()} | by_task(self.references)
        order = list(self.cfg.model.get('order') or ())
        return sorted(
            (name for names in main.values() for name in names),
            key=lambda name: order.index(task_of(name)) if task_of(name) in order else len(order),
        )


def task_of(metric: str) -> str:
    """The task of a metric ``task/name``."""
    return metric.split('/')[0]


def find_runs(folder: str | Path) -> list[Path]:
    """The work dirs in a folder: itself, or what is up to two levels below it.

    Raises:
        FileNotFoundError: If there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"'{folder}' is no folder")
    folders = [folder, *sorted([*folder.glob('*'), *folder.glob('*/*')])]
    found = [path for path in folders if path.is_dir() and any(path.glob(LOGS))]
    if not found:
        raise FileNotFoundError(
            f"'{folder}' is no work dir, nor has it any: there is no log {LOGS}, which a training "
            'writes with LocalVisBackend among visualizer.vis_backends'
        )
    return found


def read_run(folder: Path) -> Run:
    """Read one work dir, of which nothing is executed.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    try:
        run = _read(folder)
        # What is made of them later fails here, where it costs this run alone.
        run.content = _content(run.cfg)
        dict(references=run.references, metrics=run.main_metrics)
    except Exception as error:  # whatever the files hold
        what = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"the run in '{folder}' cannot be read: {what[:300]}") from error
    return run


def _read(folder: Path) -> Run:
    logs = sorted(folder.glob(LOGS))
    cfg = read_config(logs[-1].parent)
    summary, result = _json(folder / 'summary.json'), _json(folder / 'result.json')
    losses: dict[str, Curve] = {}
    weights: dict[str, Curve] = {}
    history = {name: {0: _number(of)} for name, of in (summary.get('untrained') or {}).items()}
    seconds, last, epoch = [], 0, 0
    per_epoch = cfg.train_cfg.get('iters_per_epoch')
    by_epoch = cfg.get('default_hooks', {}).get('logger', {}).get('log_metric_by_epoch', True)
    for line in _lines(logs):
        if 'iter' in line:  # of training
            last = _count(line['iter'])
            if 'time' in line:
                seconds.append(float(line['time']))
            for name, value in line.items():
                if name.rpartition('/')[2] == 'loss':
                    losses.setdefault(name, {})[last] = _number(value)
                elif name.partition('/')[0] in FACTORS:
                    weights.setdefault(name, {})[last] = _number(value)
        else:
            epoch = _count(line['step']) if by_epoch else epoch
            iteration = epoch * per_epoch if by_epoch and per_epoch else last
            for name, value in line.items():
                if name not in NO_METRICS:
                    history.setdefault(name, {})[iteration] = _number(value)
    losses, weights, history = map(_in_order, (losses, weights, history))
    trained = result.get('metrics') or summary.get('trained')
    metrics = trained or {n: list(c.values())[-1] for n, c in history.items() if max(c) > 0}
    config_name = summary.get('config') or next((p.name for p in folder.glob('*.py')), 'config')
    seed = (cfg.get('randomness') or {}).get('seed')
    run = Run(
        folder=folder,
        name=_name(folder, Path(config_name).stem),
        config_name=Path(config_name).stem,
        cfg=cfg,
        seed=result.get('seed', summary.get('seed')) if seed is None else seed,
        metrics={name: _number(value) for name, value in metrics.items()},
        losses=losses,
        history=history,
        weights=weights,
        seconds=median(seconds) if seconds else None,
    )
    run.state = _state(run, bool(result), summary, last, epoch)
    return run


def _state(run: Run, result: bool, summary: Mapping, last: int, validated: int) -> str:
    """In words, whether the run came to its end, and whether all stayed finite."""
    for name, curve in run.losses.items():
        for iteration, value in curve.items():
            if not math.isfinite(value):
                return f'diverged: {name} is {value} at iteration {iteration}'
    train_cfg = run.cfg.train_cfg
    unit = 'epoch' if 'max_epochs' in train_cfg else 'iteration'
    end = train_cfg.get(f'max_{"epochs" if unit == "epoch" else "iters"}')
    saved = [p.stem for p in numbered_checkpoints(run.folder) if p.stem.startswith(unit[:4])]
    reached = [int(name.rpartition('_')[2]) for name in saved[-1:]]
    if unit == 'epoch':
        reached += [validated, int(summary.get('epochs') or 0)]
        reached += [last // train_cfg.iters_per_epoch] if 'iters_per_epoch' in train_cfg else []
    else:
        reached += [last, int(summary.get('iterations') or 0)]
    if not result and max(reached) < end:
        return f'unfinished: {unit} {max(reached)} of {end}'
    lost = [name for name in run.main_metrics if not math.isfinite(run.metrics.get(name, 0.0))]
    return f'{", ".join(lost)} is not finite' if lost else FINISHED


def _in_order(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Curves with ascending iterations: a run that is resumed does some again."""
    return {name: dict(sorted(curve.items())) for name, curve in curves.items()}


def _content(cfg: Config) -> str:
    content = {key: value for key, value in cfg.to_dict().items() if key not in BESIDES}
    content['randomness'] = {k: v for k, v in (cfg.get('randomness') or {}).items() if k != 'seed'}
    if cfg.get('resume'):
        content.pop('load_from', None)  # its own checkpoint
    return json.dumps(content, sort_keys=True, default=str)


def _name(folder: Path, config_name: str) -> str:
    folder = folder.resolve()
    if SEED_FOLDER.fullmatch(folder.name):
        return printable(folder.parent.name)
    return printable(config_name if STAMP_FOLDER.fullmatch(folder.name) else folder.name)


def printable(text: str | Path) -> str:
    """A text, or path, without what a terminal or a table would obey, such as line ends."""
    return ''.join(letter if letter.isprintable() else '\ufffd' for letter in str(text))


def _lines(logs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Lines of the logs; a run that is resumed begins another log."""
    for path in logs:
        if not path.is_file():
            raise ValueError(f"'{path}' is no file")
        lines = path.read_text(encoding='utf-8').splitlines()
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
            except ValueError as error:
                if number == len(lines):
                    continue  # the run was killed, or is, while it wrote this line
                raise ValueError(f"line {number} of '{path}' is no JSON: {error}") from error
            if not isinstance(line, dict):
                raise ValueError(f"line {number} of '{path}' is no JSON object")
            yield line


def _json(path: Path) -> dict[str, Any]:
    """The content of a file, or nothing where it is not there."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"'{path}' is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return content


def _count(value: Any) -> int:
    """A number of iterations or epochs."""
    number = int(value)
    if not 0 <= number <= MOST:
        raise ValueError(f'a log with the iteration or epoch {value!r}')
    return number


def _number(value: Any) -> float:
    """A number of JSON; what is not finite is NaN, and None in summary.json."""
    return math.nan if value is None else float(value)
