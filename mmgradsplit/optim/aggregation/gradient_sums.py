"""What the task gradients of a major iteration become. May import torch and this room."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .aggregators import KEY, aggregate, build_aggregator
from .task_jacobian import TaskJacobian, any_matrix


class GradientSum:
    """Adds task gradients up (GradSplit, Eq. 4)."""

    def __init__(self) -> None:
        self._total: dict[nn.Parameter, Tensor] = {}

    def add(self, task: str, gradients: Mapping[nn.Parameter, Tensor]) -> None:
        """Add the gradients of a task step.

        Args:
            task: Name of the task.
            gradients: By parameter; they may be changed from now on.
        """
        for param, gradient in gradients.items():
            earlier = self._total.get(param)
            self._total[param] = gradient if earlier is None else earlier.add_(gradient)

    def take(self, scale: float) -> dict[nn.Parameter, Tensor]:
        """The gradient of each parameter that has had any; begin anew.

        Args:
            scale: The loss scale that the gradients have, and keep.
        """
        total, self._total = self._total, {}
        return total


class GradientAggregate(GradientSum):
    """Aggregates them on what several tasks train, and adds them up elsewhere.

    Args:
        params: The parameters to aggregate on. A task that may not move one has zeros there.
        tasks: Names of the tasks, in order.
        aggregator: Config, see :func:`~mmgradsplit.optim.aggregation.aggregators.build_aggregator`.

    Raises:
        ValueError: If the aggregator does not fit, or there is no such parameter.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], tasks: Sequence[str], aggregator: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.params = list(params)
        self.tasks = list(tasks)
        if not self.params:
            raise ValueError(
                f'{KEY}: the mask leaves no parameter of the backbone to several tasks, so there '
                f'is nothing to aggregate'
            )
        self.like = any_matrix(self.params[0], len(self.tasks))
        self.aggregator = build_aggregator(aggregator, self.tasks, self.like)
        self._jacobian: TaskJacobian | None = None

    def add(self, task: str, gradients: Mapping[nn.Parameter, Tensor]) -> None:
        """Add the gradients of a task step."""
        rest = dict(gradients)
        if self._jacobian is None:
            self._jacobian = TaskJacobian(self.params, self.tasks)
        self._jacobian.add(task, [rest.pop(param, None) for param in self.params])
        super().add(task, rest)

    def take(self, scale: float) -> dict[nn.Parameter, Tensor]:
        """The gradient of each parameter that has had any; begin anew."""
        total = super().take(scale)
        jacobian, self._jacobian = self._jacobian, None
        if jacobian is not None:
            parts = jacobian.split(aggregate(self.aggregator, jacobian, scale))
            used = zip(self.params, parts, jacobian.used, strict=True)
            total.update((param, part) for param, part, any_task in used if any_task)
        return total
