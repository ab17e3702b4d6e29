"""Evaluates all tasks at once; sums them up as acc_mtl, delta_m and delta_raw."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import Evaluator

from mmgradsplit.functional import acc_mtl, by_task, delta_m, delta_raw
from mmgradsplit.registry import EVALUATOR


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

    Raises:
        ValueError: If the references do not name a metric of each task, or one is not above 0.
    """

    def __init__(
        self,
        evaluators: Mapping[str, Evaluator],
        sizes: Mapping[str, int],
        references: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__([])
        self.evaluators = dict(evaluators)
        self.sizes = dict(sizes)
        self.references: dict[str, float] = {}
        self.lower_is_better: set[str] = set()
        for name, reference in (references or {}).items():
            if isinstance(reference, Mapping):
                if reference.get('lower_is_better', False):
                    self.lower_is_better.add(name)
                reference = reference.get('value')
            if not isinstance(reference, int | float) or not 0 < reference < math.inf:
                raise ValueError(
                    f"references: the single-task value of '{name}' is {reference}; delta_m "
                    'divides by it, so give the measured value, a number above 0'
                )
            self.references[name] = float(reference)
        if self.references and set(by_task(self.references)) != set(self.evaluators):
            raise ValueError(
                f'references must name one metric of each task {sorted(self.evaluators)}, or '
                f"several, as 'task/metric', got {sorted(self.references)}"
            )

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
        self.evaluators[data_batch['task']].process(data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, float]:
        """Metrics of all tasks.

        Args:
            size: Number of samples of all tasks together.

        Returns:
            Metrics by ``task/metric``, and where references are given ``acc_mtl`` (NaN where it is
            not defined), ``delta_m`` in percent, and ``delta_raw``.

        Raises:
            KeyError: If a reference names a metric that the task's evaluator does not give.
        """
        metrics = {
            f'{task}/{name}': value
            for task, evaluator in self.evaluators.items()
            for name, value in evaluator.evaluate(self.sizes[task]).items()
        }
        missing = [name for name in self.references if name not in metrics]
        if missing:
            raise KeyError(f'references name {missing}, but the metrics are {sorted(metrics)}')
        if self.references:
            named = {name: metrics[name] for name in self.references}
            metrics['acc_mtl'] = acc_mtl(named, self.lower_is_better)
            metrics['delta_m'] = delta_m(named, self.references, self.lower_is_better)
            metrics['delta_raw'] = delta_raw(named, self.references, self.lower_is_better)
        return metrics
