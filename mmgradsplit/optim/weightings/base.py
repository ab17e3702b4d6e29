"""What all weightings are, and the uniform one."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from mmgradsplit.functional import uniform_loss
from mmgradsplit.registry import WEIGHTINGS


class Weighting(nn.Module):
    """Base of the weightings: how task losses become one loss.

    It lives in the optimizer wrapper, whose checkpoint has its ``state_dict``; its parameters are
    learned by the optimizer of the network.

    Args:
        tasks: Names of the tasks, in order.

    Attributes:
        needs: What it has to be told beside the losses of a step: ``'metrics'`` of each validation
            (:meth:`update`), ``'losses'`` after an update of the network (:meth:`revise`).
        optimizer_options: Options of the optimizer for its parameters, such as a learning rate of
            their own.
        sums: Whether the loss is the sum of the tasks' own weighted losses, such as
            ``exp(s_t) l_t`` of IMTL-L; with uniform weighting, and others whose weights add up to
            1, it is their mean. An aggregator works on the gradients of these.
        task_steps: Whether each step is of one task, as in round-robin training.
        network_lr: The learning rate in the config of the network's optimizer, if it has one.
    """

    needs: frozenset[str] = frozenset()
    sums = False
    optimizer_options: Mapping[str, Any] = MappingProxyType({})
    task_steps = False
    network_lr: float | None = None

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = list(tasks)

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """One loss.

        Args:
            losses: The loss of each task that has a sample, a scalar each.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    @classmethod
    def from_accuracies(cls, accuracies: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments that only a config's accuracies can give, see ``apis.methods.use_method``.

        Args:
            accuracies: The single-task value, in percent, of the metric that is each task's
                accuracy, by the metric's full name.
        """
        return {}

    def link(self, backbone: nn.Module) -> None:
        """Take note of the shared backbone, where the weighting needs it."""

    def logs(self) -> dict[str, Tensor]:
        """The weights of the latest step as ``weight/<task>``; empty where they do not change."""
        return {}

    def update(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Take the metrics of a validation.

        Args:
            metrics: Metrics by ``task/metric``.
            iteration: Iterations of training done so far.
        """

    @property
    def validated_at(self) -> int:
        """Iterations that were done at the latest validation it was told of; -1 before."""
        return -1

    def end_epoch(self) -> None:
        """An epoch of training has ended."""

    def revise(self, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of the latest step's batch, computed anew after the update.

        Args:
            losses: The loss of each task that has a sample, a scalar each.
        """

    def __repr__(self) -> str:
        """The class alone, as messages name it."""
        return type(self).__name__


class StandingWeighting(Weighting):
    """Base of the weightings that are a function of the losses of all tasks.

    A task without a sample in a step stands with its latest loss, as a constant: it does not train
    the network, and learned weights see what they saw last. Before its first sample it stands with
    1, which leaves a geometric mean, and the learned weights of uncertainty weighting and IMTL-L,
    as they are. Computed in the type of the buffers, single precision unless the module is cast.

    Args:
        tasks: Names of the tasks, in order.

    Attributes:
        latest: shape [T], the latest loss of each task.
    """

    latest: Tensor

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.register_buffer('latest', torch.ones(len(tasks)))

    def standing(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The losses of all tasks.

        Args:
            losses: The loss of each task that has a sample, a scalar each.

        Returns:
            shape [T].
        """
        values = [losses.get(task, self.latest[i]) for i, task in enumerate(self.tasks)]
        return torch.stack([value.to(self.latest) for value in values])

    def check_positive(self, values: Tensor, why: str = 'their geometric mean is taken') -> None:
        """Refuse losses that are not positive.

        Args:
            values: shape [T], the losses.
            why: What needs positive ones.

        Raises:
            ValueError: If a loss is zero or negative.
        """
        bad = [task for task, low in zip(self.tasks, (values <= 0).tolist(), strict=True) if low]
        if bad:
            raise ValueError(
                f'optim_wrapper.weighting ({self}): the loss of the tasks {bad} is 0 or negative, '
                f'{values.tolist()} for {self.tasks}, but {why}. Check these '
                "tasks' losses and annotations, or take a weighting without this need"
            )


def check_names(key: str, given: Iterable[str], tasks: Sequence[str]) -> None:
    """Check that something is given for each task, and for nothing else.

    Args:
        key: The config's key.
        given: Names of the tasks it is given for.
        tasks: Names of the tasks.

    Raises:
        ValueError: If a task is missing, named twice, or unknown.
    """
    names = sorted(given)
    if names != sorted(tasks):
        raise ValueError(f'{key} must name each of the tasks {list(tasks)} once, got {names}')


@WEIGHTINGS.register_module()
class UniformWeighting(Weighting):
    """``1/K * sum_t lambda_t l_t`` (STA, Algorithm 1). A task without a sample adds nothing.

    K is the number of tasks in joint training, and 1 in round-robin training, whose step has one
    task.

    Args:
        tasks: Names of the tasks, in order.
        weights: ``lambda_t`` by task, for those that are not 1.

    Raises:
        ValueError: If a weight is of no task.
    """

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float] | None = None) -> None:
        super().__init__(tasks)
        self.weights = dict(weights or {})
        unknown = sorted(set(self.weights) - set(self.tasks))
        if unknown:
            raise ValueError(
                f'optim_wrapper.weighting.weights names {unknown}, but the tasks are {self.tasks}'
            )

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean over the tasks that a step serves."""
        return uniform_loss(losses, 1 if self.task_steps else len(self.tasks), self.weights)
