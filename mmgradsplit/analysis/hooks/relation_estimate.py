"""Relations between tasks from a single multi-head training (GradSplit, section 5, future work)."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from numpy.typing import NDArray

from mmgradsplit.analysis.lookahead import lookahead_changes
from mmgradsplit.analysis.task_batches import TaskBatches
from mmgradsplit.analysis.task_gradients import (
    gradient_cosines,
    module_parameters,
    preprocessed,
    task_gradients,
)
from mmgradsplit.functional import by_name, derive_seed, relation_mask, summarize_changes
from mmgradsplit.registry import HOOKS
from mmgradsplit.utils import config_name, write_json

from .measurement import MeasurementHook

SHARED = 'all that the tasks share'
METHODS = dict(
    cosine='mean cosine similarity of the gradients of t and t\'',
    loss='mean of 1 - L_t(after a gradient step of t\') / L_t(before), on a held-out batch',
)  # fmt: skip


@HOOKS.register_module()
class RelationEstimateHook(MeasurementHook):
    r"""Estimates the relations ``A[t' -> t]`` during one multi-head training, in two ways.

    The paper trains T + T(T-1)/2 networks for its relations, and names gradient similarity and loss
    changes as future work. At each interval, on a replica of the network, this hook measures

    - *cosine*: the cosine similarity of the gradients of t' and t, mean over ``modules``. It is the
      same in both directions;
    - *loss*: :math:`1 - L_t(\theta - \eta \nabla L_{t'}) / L_t(\theta)`, with
      :math:`\theta` the shared backbone, :math:`\eta` the current learning rate of t', and the loss
      of t on a batch of other samples than the step's.

    Both are positive where t' helps t, as an accuracy change is, but they are no accuracy changes
    and live on other scales: their relations are negative below 0. At the end of each epoch the
    means over all measurements so far are written to ``relations_estimate_cosine.json`` and
    ``relations_estimate_loss.json`` in ``work_dir``; ``optim_wrapper.relations`` reads them, with
    ``threshold=0``.

    Args:
        interval: Major iterations from one measurement to the next.
        modules: Names, or patterns, of the backbone's modules on which gradients are compared.
        samples: Samples of a batch.
        repeats: Batches of a measurement.
        held_out: For each task whose loss is measured on another data set than the training's, what
            differs from its ``train_dataloader``, such as
            ``dict(digit=dict(dataset=dict(ann_file='digit_test.txt', data_prefix='test')))``. It
            keeps the pipeline of training, whose labels a loss needs. The loss of any other task is
            measured on the training set, on a batch disjoint from the step's: identities of a
            re-identification test set, say, have no class to compute a loss for.

    Raises:
        ValueError: If ``held_out`` names no task, or a number or name does not fit.
    """

    def __init__(
        self,
        interval: int,
        modules: Sequence[str] = ('layer4',),
        samples: int = 16,
        repeats: int = 1,
        held_out: Mapping[str, Mapping] | None = None,
    ) -> None:
        super().__init__(interval, modules, samples, repeats)
        self.held_out = dict(held_out or {})

    def before_train(self, runner: Runner) -> None:
        """Build the data sets, and take up the measurements of a run that is resumed."""
        super().before_train(runner)
        empty = dict(cosine=[], loss=[], seconds=0.0, training_seconds=0.0)
        self.state: dict[str, Any] = runner.message_hub.get_info(self.key, empty)
        self.since = time.perf_counter()

    def build(self, runner: Runner, dataloaders: Mapping[str, Mapping]) -> None:
        """Build the data sets of the steps and of the losses."""
        super().build(runner, dataloaders)
        unknown = [task for task in self.held_out if task not in dataloaders]
        if unknown:
            raise ValueError(
                f'{self.key}.held_out names {unknown}, but the tasks are {list(dataloaders)}'
            )
        # The same order as the steps' batches, so that two positions never share a sample of one
        # epoch.
        others = Config(dict(dataloaders))
        others.merge_from_dict(self.held_out)
        self.losses_on = TaskBatches(
            {task: others[task] for task in dataloaders}, self.samples, runner.seed
        )

    def measure(self, runner: Runner, replica: Any, positions: range) -> None:
        """Measure both estimates, and keep them for the checkpoint."""
        start = time.perf_counter()
        own = [self._estimate(runner, replica, position) for position in positions]
        for part in all_gather_object(own):
            for cosine, loss in part:
                self.state['cosine'].append(cosine.tolist())
                self.state['loss'].append(loss.tolist())
        now = time.perf_counter()
        self.state['seconds'] += now - start
        self.state['training_seconds'] += now - self.since
        self.since = now
        runner.message_hub.update_info(self.key, self.state)

    def _estimate(
        self, runner: Runner, replica: Any, position: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both estimates from one batch a task for the steps and one for the losses."""
        chosen = module_parameters(replica.backbone, self.modules)
        shared = [p for p in replica.backbone.parameters() if p.requires_grad]
        seed = derive_seed(runner.seed, position)
        data = preprocessed(replica, self.batches.at(2 * position), seed)
        held_out = preprocessed(replica, self.losses_on.at(2 * position + 1), seed)
        gradients = task_gradients(replica, data, {**chosen, SHARED: shared}, seed)
        whole = {task: of.pop(SHARED) for task, of in gradients.items()}
        rates = {task: learning_rate(runner.optim_wrapper, task) for task in whole}
        return (
            np.mean(list(gradient_cosines(gradients).values()), axis=0),
            lookahead_changes(replica, shared, whole, held_out, rates, seed),
        )

    def after_train_epoch(self, runner: Runner) -> None:
        """Write the relations of all measurements so far."""
        if not (self.state['cosine'] and is_main_process()):
            return
        self.state['training_seconds'] += time.perf_counter() - self.since
        self.since = time.perf_counter()
        for method in METHODS:
            measured = np.array(self.state[method])
            # One in which a loss was zero or not finite says nothing.
            measured = measured[np.isfinite(measured).all((1, 2))]
            if not len(measured):
                runner.logger.log(
                    logging.WARNING,
                    f"{self.key}: no estimate by '{method}' yet, for in every measurement a loss "
                    f'was zero or not finite',
                )
                continue
            path = Path(runner.work_dir, f'relations_estimate_{method}.json')
            write_json(path, self._content(runner, method, measured))

    def _content(
        self, runner: Runner, method: str, measured: NDArray[np.float64]
    ) -> dict[str, Any]:
        """The relations file of one method; ``measured`` has the shape [M x T x T]."""
        tasks = list(self.batches.streams)
        mean, spread, settled = summarize_changes(measured, 0.0)
        several = len(measured) > 1
        return dict(
            source=f'RelationEstimateHook: {METHODS[method]}, in one multi-head training',
            method=method,
            relations=by_name(mean, tasks),
            spread=by_name(spread, tasks) if several else None,
            unsettled=_false(settled, tasks) if several else None,
            threshold=0.0,
            negative=_false(relation_mask(mean, 0.0).T, tasks),
            measurements=len(measured),
            cost=dict(
                seconds=round(self.state['seconds'], 3),
                share_of_training=round(self.state['seconds'] / self.state['training_seconds'], 4),
                processes=get_world_size(),
            ),
            provenance=dict(
                config=config_name(runner.cfg),
                seed=runner.seed,
                iterations=runner.iter,
                interval=self.interval,
                modules=list(self.modules or ()),
                samples=self.samples,
                repeats=self.repeats,
                held_out=sorted(self.held_out),
            ),
        )


def _false(holds: NDArray[np.bool_], tasks: Sequence[str]) -> list[str]:
    """The names of the relations of which something, shape [T x T], does not hold."""
    return [name for name, ok in by_name(holds, tasks).items() if not ok]


def learning_rate(optim_wrapper: OptimWrapper, task: str) -> float:
    """The current learning rate of a task's optimizer, or of the one that all tasks share."""
    rates = optim_wrapper.get_lr()
    for name in (f'{task}.lr', 'lr'):
        if name in rates:
            return float(rates[name][0])
    raise KeyError(f"optim_wrapper has no learning rate for the task '{task}', only {list(rates)}")
