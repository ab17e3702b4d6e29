"""Weightings by the accuracies of the latest validation: AMTL and DTP."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmgradsplit.functional import amtl_weights, dtp_weights
from mmgradsplit.registry import WEIGHTINGS

from .base import StandingWeighting, check_names

RESULT, SUMMARY = 'result.json', 'summary.json'


class AccuracyWeighting(StandingWeighting):
    """Base of the weightings that follow the metrics of each validation.

    An accuracy is smoothed over the validations, ``smoothing * new + (1 - smoothing) * old``; the
    first one is taken as it is. Until then all tasks weigh the same. In round-robin training the
    validation is the same; each task step has the loss of its task with the task's weight.

    Args:
        tasks: Names of the tasks, in order.
        metrics: The metric that is each task's accuracy, by its full name, such as ``'seg/mIoU'``.
            It is in percent, and higher is better: the formulas know accuracies alone.
        smoothing: Share of the new accuracy.

    Attributes:
        accuracies: shape [T], smoothed, in percent; NaN before the first validation.
        validated: Iterations of training that were done at the latest validation; -1 before.

    Raises:
        ValueError: If the metrics do not name each task once, or a number does not fit.
    """

    needs = frozenset({'metrics'})
    accuracies: Tensor
    validated: Tensor

    def __init__(self, tasks: Sequence[str], metrics: Sequence[str], smoothing: float) -> None:
        super().__init__(tasks)
        if not 0 < smoothing <= 1:
            raise ValueError(
                f'optim_wrapper.weighting.smoothing must be above 0 and at most 1, got {smoothing}'
            )
        names = {name.partition('/')[0]: name for name in metrics}
        self.metrics = [names[task] for task in self.tasks]
        self.smoothing = smoothing
        self.register_buffer('accuracies', torch.full((len(tasks),), math.nan))
        self.register_buffer('validated', torch.tensor(-1))

    def update(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Take the accuracies of a validation.

        Args:
            metrics: Metrics by ``task/metric``.
            iteration: Iterations of training done so far.

        Raises:
            KeyError: If a metric is not among them.
            ValueError: If one is no number from 0 to 100.
        """
        missing = [name for name in self.metrics if name not in metrics]
        if missing:
            raise KeyError(
                f'optim_wrapper.weighting ({self}) names {missing}, but the metrics of the '
                f'validation are {sorted(metrics)}'
            )
        given = {name: float(metrics[name]) for name in self.metrics}
        bad = {name: value for name, value in given.items() if not 0 <= value <= 100}
        if bad:
            raise ValueError(
                f'optim_wrapper.weighting ({self}): {bad} is not an accuracy in percent; name a '
                'metric from 0 to 100 whose higher values are better, such as seg/mIoU or '
                'depth/delta1'
            )
        new = self.accuracies.new_tensor(list(given.values()))
        smoothed = self.smoothing * new + (1 - self.smoothing) * self.accuracies
        self.accuracies.copy_(torch.where(self.accuracies.isnan(), new, smoothed))
        self.validated.fill_(iteration)

    @property
    def validated_at(self) -> int:
        """Iterations that were done at the latest validation it was told of; -1 before."""
        return int(self.validated)

    def current(self) -> Tensor:
        """The weights, shape [T]."""
        raise NotImplementedError

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the losses of all tasks, ``sum_t w_t L_t``."""
        values = self.standing(losses)
        self.latest.copy_(values.detach())
        return self.current() @ values

    def logs(self) -> dict[str, Tensor]:
        """The weights."""
        weights = self.current()
        return {f'weight/{task}': weight for task, weight in zip(self.tasks, weights, strict=True)}


@WEIGHTINGS.register_module()
class AMTLWeighting(AccuracyWeighting):
    """Achievement-based training progress balancing (AMTL): ``w = softmax((1 - a_t / p_t) ** 2)``.

    ``a_t`` is the task's accuracy, ``p_t = (1 + margin) * single-task accuracy`` its potential. The
    geometric form is ``prod_t L_t ** w_t``, the arithmetic one ``sum_t w_t L_t``; in both the
    weights add up to 1. Before the first validation they are ``1 / T``.

    In the geometric form a task step of round-robin training sees the other tasks' latest losses
    as constants.

    Args:
        tasks: Names of the tasks, in order.
        references: The single-task accuracy in percent of one metric a task, by the metric's full
            name: a number, or the ``work_dir`` (or JSON file) of the single-task run that
            measured it, ``{'seg/mIoU': 43.9, 'depth/delta1': 'work_dirs/r18_scenes_depth'}``.
        form: ``'geometric'`` or ``'arithmetic'``.
        margin: How far a task can get beyond the single-task network.
        focus: Focusing factor.
        smoothing: Share of the new accuracy.

    Raises:
        ValueError: If the references do not name each task once, one is no accuracy above 0, or
            ``form`` is unknown.
        FileNotFoundError: If a reference names no run.
    """

    potentials: Tensor

    @classmethod
    def from_accuracies(cls, accuracies: Mapping[str, Any]) -> dict[str, Any]:
        """The references."""
        return dict(references=dict(accuracies))

    def __init__(
        self,
        tasks: Sequence[str],
        references: Mapping[str, Any],
        form: str = 'geometric',
        margin: float = 0.05,
        focus: float = 2.0,
        smoothing: float = 0.1,
    ) -> None:
        key = 'optim_wrapper.weighting.references'
        if not isinstance(references, Mapping):
            raise ValueError(f"{key} must be a mapping like {{'seg/mIoU': 43.9}}, got {references}")
        check_names(key, [name.partition('/')[0] for name in references], tasks)
        super().__init__(tasks, list(references), smoothing)
        if form not in ('geometric', 'arithmetic'):
            raise ValueError(
                f"optim_wrapper.weighting.form must be 'geometric' or 'arithmetic', got '{form}'"
            )
        if margin <= -1:
            raise ValueError(f'optim_wrapper.weighting.margin must be above -1, got {margin}')
        self.form, self.focus = form, focus
        single = [_reference(key, name, references[name]) for name in self.metrics]
        # Of the config, not of the checkpoint.
        self.register_buffer('potentials', (1 + margin) * torch.tensor(single), persistent=False)

    def current(self) -> Tensor:
        """The weights, shape [T]; they add up to 1."""
        # Nothing is achieved before the first validation, by any task.
        return amtl_weights(self.accuracies.nan_to_num(0.0), self.potentials, self.focus)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted geometric mean of the losses, or their weighted mean.

        Raises:
            ValueError: If a loss under the geometric mean is not positive.
        """
        if self.form == 'arithmetic':
            return super().forward(losses)
        values = self.standing(losses)
        self.check_positive(values)
        self.latest.copy_(values.detach())
        return (self.current() @ values.log()).exp()


@WEIGHTINGS.register_module()
class DTPWeighting(AccuracyWeighting):
    """Dynamic Task Prioritization (DTP): ``sum_t w_t L_t``, ``w_t = -(1 - a_t) ** gamma log(a_t)``.

    ``a_t`` is the accuracy in percent divided by 100; one below 0.01 percent counts as that. The
    weights are as the formula gives them, not normalised: large for tasks that are far from done.
    Before the first validation each is 1.

    Args:
        tasks: Names of the tasks, in order.
        metrics: The metric that is each task's accuracy, in percent, by its full name, such as
            ``['seg/mIoU', 'depth/delta1']``.
        focus: Focusing factor ``gamma``; AMTL's code recommends 0.5 for DTP.
        smoothing: Share of the new accuracy.

    Raises:
        ValueError: If the metrics do not name each task once.
    """

    sums = True

    @classmethod
    def from_accuracies(cls, accuracies: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics."""
        return dict(metrics=list(accuracies))

    def __init__(
        self,
        tasks: Sequence[str],
        metrics: Sequence[str],
        focus: float = 0.5,
        smoothing: float = 0.1,
    ) -> None:
        key = 'optim_wrapper.weighting.metrics'
        if isinstance(metrics, str):
            raise ValueError(f"{key} must be a list like ['seg/mIoU'], got '{metrics}'")
        check_names(key, [name.partition('/')[0] for name in metrics], tasks)
        super().__init__(tasks, metrics, smoothing)
        self.focus = focus

    def current(self) -> Tensor:
        """The weights, shape [T]."""
        return torch.where(
            self.accuracies.isnan(),
            torch.ones_like(self.accuracies),
            dtp_weights(self.accuracies / 100, self.focus),
        )


def _reference(key: str, name: str, value: Any) -> float:
    """The single-task accuracy of a metric: given, or measured by a run."""
    if isinstance(value, str | Path):
        value = _measured(key, name, Path(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise ValueError(
            f"{key}: the single-task accuracy of '{name}' is {value}; a potential is made of it, "
            'so it must be above 0 and at most 100 percent'
        )
    return float(value)


def _measured(key: str, name: str, path: Path) -> Any:
    """The value of a metric in the files that a finished run leaves."""
    files = [path / RESULT, path / SUMMARY] if path.is_dir() else [path]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"{key}: '{path}' for '{name}' is no JSON file of a run, nor a work_dir with "
            f'{RESULT} or {SUMMARY} in it; train the single-task network first, or give a number'
        )
    try:
        content = json.loads(file.read_text())
        metrics = content.get('metrics') or content.get('trained') or {}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{key}: '{file}' is not a run's JSON file: {error}") from error
    if name not in metrics:
        raise ValueError(f"{key}: '{file}' has no '{name}', only {sorted(metrics)}")
    return metrics[name]
