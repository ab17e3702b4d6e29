"""Evaluates all tasks at once; sums them up as acc_mtl, delta_m and delta_raw."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.logging import print_log

from mmgradsplit.functional import acc_mtl, by_task, delta_m, delta_raw
from mmgradsplit.registry import EVALUATOR
from mmgradsplit.utils import ConfigError, at_key

from .directions import lower_is_better
from .references import read_references


@EVALUATOR.register_module()
class MultiTaskEvaluator(Evaluator):
    """One evaluator a task; metric names get the task's name in front.

    Args:
        evaluators: The evaluator of each task.
        sizes: Number of samples of each task's data set.
        references: Single-task value of one metric of each task, or of several, by the metric's
            full name, such as ``{'pose/PCK': 88.2}``; where lower is better,
            ``{'depth/rmse': dict(value=0.6, lower_is_better=True)}``. With it, ``delta_m``,
            ``delta_raw`` (STA's ``Delta_MTL``) and ``acc_mtl`` of these are among the metrics. Of
            several metrics of a task, the first is its main one.
        key: Config key of the evaluators, for messages.

    Attributes:
        measured: Names of the metrics that :meth:`evaluate` has given.
        followed: Metrics that something else in the config follows, such as ``save_best``.

    Raises:
        ValueError: If the references do not name a metric of each task, one is not above 0, or the
            direction of a metric is not known.
    """

    def __init__(
        self,
        evaluators: Mapping[str, Evaluator],
        sizes: Mapping[str, int],
        references: Mapping[str, Any] | None = None,
        key: str = 'val_evaluator',
    ) -> None:
        super().__init__([])
        self.evaluators = dict(evaluators)
        self.key = key
        self.sizes = dict(sizes)
        found = read_references(references, self.evaluators, 'references')
        self.references = {name: of.value for name, of in found.items()}
        self.followed: list[str] = []
        self.measured: set[str] = set()
        self.lower_is_better = {name for name, of in found.items() if of.lower_is_better}

    @property
    def dataset_meta(self) -> dict | None:
        """Meta information of the data sets, by task."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, dict]) -> None:
        self._dataset_meta = dict(dataset_meta)
        for task, evaluator in self.evaluators.items():
            evaluator.dataset_meta = dataset_meta[task]

    def process(self, data_samples: Sequence, data_batch: Any | None = None) -> None:
        """Pass predictions on to the evaluator of the batch's task."""
        if data_batch is None:
            raise ValueError('MultiTaskEvaluator needs the batch, which tells the task')
        task = data_batch['task']
        with at_key(f'{self.key}.{task}'):
            self.evaluators[task].process(data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics of all tasks.

        Args:
            size: Number of samples of all tasks together.

        Returns:
            Metrics by ``task/metric``, and where references are given ``acc_mtl`` (NaN where it is
            not defined), ``delta_m`` in percent, and ``delta_raw``.

        Raises:
            ConfigError: If a reference names a metric that the task's evaluator does not give.
        """
        metrics: dict[str, float] = {}
        for task, evaluator in self.evaluators.items():
            with at_key(f'{self.key}.{task}'):
                found = evaluator.evaluate(self.sizes[task])
            metrics.update((f'{task}/{name}', value) for name, value in found.items())
            if not found:
                metrics.update(self._of_nothing(task))
        missing = [name for name in self.references if name not in metrics]
        if missing:
            raise ConfigError(f'references name {missing}, but the metrics are {sorted(metrics)}')
        if self.references:
            named = {name: metrics[name] for name in self.references}
            metrics['acc_mtl'] = acc_mtl(named, self.lower_is_better)
            metrics['delta_m'] = delta_m(named, self.references, self.lower_is_better)
            metrics['delta_raw'] = delta_raw(named, self.references, self.lower_is_better)
        self.measured.update(metrics)
        return metrics

    def _of_nothing(self, task: str) -> dict[str, float]:
        """What counts for a task of which nothing was measured: 0, or NaN where lower is better.

        The metrics of mmdet give no number for a network without a single detection, as most are
        before training.
        """
        names = by_task([*self.references, *self.followed]).get(task, [])
        found = {}
        for name in names:
            lower = name in self.lower_is_better or lower_is_better(name, self.evaluators)
            found[name] = math.nan if lower else 0.0
        if found:
            print_log(
                f"task '{task}': nothing was measured, as of a network that detects nothing, which "
                f'counts as {found}',
                logger='current',
                level=logging.WARNING,
            )
        return found
