"""The table of metrics at the end of training, beside what they are compared with."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgradsplit.engine.screen import warnings_alone
from mmgradsplit.functional import acc_mtl, delta_m
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import config_name, write_json
from mmgradsplit.utils.tables import TextTable
from mmgradsplit.utils.tracing import without_trace

Metrics = dict[str, float | None]

FILE = 'summary.json'
# Metrics of all tasks together, and their decimals.
SUMS = {'acc_mtl': 4, 'delta_m': 2}
# In the file and the log alone: it adds up units, and is of use beside STA's tables.
HIDDEN = 'delta_raw'
UNTRAINED, TRAINED, BASELINE, REFERENCE = (
    'untrained', 'trained', 'multi-head baseline', 'single-task reference',
)  # fmt: skip


@HOOKS.register_module()
class SummaryHook(Hook):
    """Prints the metrics of the untrained and the trained network after training.

    The table stands next to the multi-head baseline, where one was run, and the single-task
    references of ``val_cfg.references``, and goes into the log. ``summary.json`` in ``work_dir``
    holds the numbers from the first validation on, also for a run that is resumed.

    Args:
        baseline: ``summary.json``, or the ``work_dir``, of a finished run of the multi-head
            baseline. Its column is left out where the file is not there.
        untrained: Whether to validate the network before training. It leaves no trace: the weights
            after training are bit for bit the same with and without it.

    Raises:
        ValueError: If ``baseline`` is not such a file.
    """

    priority = 'VERY_LOW'

    def __init__(self, baseline: str | Path | None = None, untrained: bool = True) -> None:
        self.baseline = None if baseline is None else Path(baseline)
        self.untrained = untrained
        self.columns: dict[str, Metrics] = {}
        self.training = False

    def before_train(self, runner: Runner) -> None:
        """Read the baseline, and validate the untrained network."""
        if runner.val_loop is None:
            runner.logger.info('SummaryHook: no val_cfg, so there is no summary of the metrics.')
            return
        self.training, self.columns = True, {}
        if runner.iter > 0:
            self._read_own(runner)
        elif self.untrained:
            runner.logger.info('SummaryHook: validating the untrained network ...')
            # Its tables by class are as long as a screen, and of a network that knows nothing.
            with without_trace(runner), warnings_alone(runner.logger):
                self.columns[UNTRAINED] = _numbers(runner.val_loop.run())
            self._write(runner)
        if self.baseline is not None:
            self._read_baseline(runner, self.baseline)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        """Keep the metrics of the latest validation of the training."""
        if self.training and metrics:
            self.columns[TRAINED] = _numbers(metrics)
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Print the table."""
        if runner.val_loop is None:
            return
        self.training = False
        self._write(runner)
        evaluator = runner.val_loop.evaluator
        table = render_table(
            self.columns,
            getattr(evaluator, 'references', {}),
            getattr(evaluator, 'lower_is_better', ()),
        )
        runner.logger.info(f'Summary ({Path(runner.work_dir, FILE)}):\n\n{table}\n')

    def _write(self, runner: Runner) -> None:
        if not is_main_process():
            return
        content = dict(
            config=config_name(runner.cfg),
            seed=runner.seed,
            iterations=runner.iter,
            epochs=runner.epoch,
            untrained=self.columns.get(UNTRAINED),
            trained=self.columns.get(TRAINED),
        )
        write_json(Path(runner.work_dir, FILE), content, allow_nan=False)

    def _read_own(self, runner: Runner) -> None:
        """Metrics from before the run was resumed."""
        path = Path(runner.work_dir, FILE)
        content = _read(path) if path.is_file() else {}
        for column in (UNTRAINED, TRAINED):
            if content.get(column):
                self.columns[column] = content[column]
        if self.untrained and UNTRAINED not in self.columns:
            runner.logger.info(
                f"SummaryHook: '{path}' has no metrics of the untrained network; their column is "
                'left out.'
            )

    def _read_baseline(self, runner: Runner, path: Path) -> None:
        path = path / FILE if path.is_dir() else path
        metrics = _read(path).get(TRAINED) if path.is_file() else None
        if metrics:
            self.columns[BASELINE] = metrics
        else:
            state = 'is of a run that was not validated' if path.is_file() else 'is not there'
            runner.logger.info(
                f"SummaryHook: the baseline '{path}' {state}; its column is left out."
            )


def render_table(
    columns: Mapping[str, Metrics], references: Mapping[str, float], lower_is_better: Any = ()
) -> str:
    """The table as text, in Markdown.

    Args:
        columns: Metrics by name, for each column.
        references: Single-task values of one or several metrics of each task.
        lower_is_better: Names of the metrics of which a lower value is better.

    Returns:
        A row for each metric: task after task, those of the references first, and acc_mtl and
        delta_m last. A value that is not known is a dash.
    """
    columns = {
        name: {key: value for key, value in metrics.items() if key != HIDDEN}
        for name, metrics in columns.items()
        if metrics
    }
    for metrics in columns.values():
        values = {name: metrics.get(name) for name in references}
        known = {name: value for name, value in values.items() if value is not None}
        if references and len(known) == len(references):
            # With these references, whatever those of the baseline's own run were.
            metrics['acc_mtl'] = acc_mtl(known, lower_is_better)
            metrics['delta_m'] = delta_m(known, references, lower_is_better)
    if references:
        columns[REFERENCE] = {
            **references, 'acc_mtl': acc_mtl(references, lower_is_better), 'delta_m': 0.0,
        }  # fmt: skip
    rows = [
        [name, *(_format(name, metrics.get(name)) for metrics in columns.values())]
        for name in _rows(columns, references)
    ]
    return TextTable(['metric', *columns], rows, words=['metric']).markdown()


def _rows(columns: Mapping[str, Metrics], references: Mapping[str, float]) -> list[str]:
    names = list(dict.fromkeys(name for metrics in columns.values() for name in metrics))
    tasks = list(dict.fromkeys(_task(name) for name in names))
    # Sorting is stable: within a task, what the references name moves to the front.
    order = sorted(names, key=lambda name: (tasks.index(_task(name)), name not in references))
    return [name for name in order if name not in SUMS] + [name for name in SUMS if name in names]


def _task(name: str) -> str:
    task, slash, _ = name.partition('/')
    return task if slash else ''


def _format(name: str, value: float | None) -> str:
    return '-' if value is None or math.isnan(value) else f'{value:.{SUMS.get(name, 2)}f}'


def _numbers(metrics: Mapping[str, Any]) -> Metrics:
    """Metrics as JSON holds them: numbers, and None for one that is not finite."""
    numbers: Metrics = {}
    for name, value in metrics.items():
        if np.ndim(value) == 0 and not isinstance(value, str):
            number = float(value)
            numbers[name] = number if math.isfinite(number) else None
    return numbers


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"SummaryHook: '{path}' is not valid JSON: {error}") from error
    if not isinstance(content, dict) or not {UNTRAINED, TRAINED} <= set(content):
        raise ValueError(
            f"SummaryHook: '{path}' lacks '{UNTRAINED}' or '{TRAINED}', so it is no {FILE}; set "
            f'custom_hooks.SummaryHook.baseline to the work_dir of a run with this hook'
        )
    return content
