"""What the task gradients of an update become: their sum, or what an aggregator makes of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmgradsplit.optim.gradients import trained

from .aggregators import KEY, aggregate
from .task_jacobian import TaskJacobian


class GradientSum:
    """Adds task gradients up (GradSplit, Eq. 4)."""

    def __init__(self) -> None:
        self._total: dict[nn.Parameter, Tensor] = {}

    def add(self, task: str, gradients: Mapping[nn.Parameter, Tensor]) -> None:
        """Add gradients of a task.

        Args:
            task: Name of the task.
            gradients: By parameter; they may be changed from now on.
        """
        for param, gradient in gradients.items():
            earlier = self._total.get(param)
            self._total[param] = gradient if earlier is None else earlier.add_(gradient)

    def take(self, scale: Callable[[], float]) -> dict[nn.Parameter, Tensor]:
        """The gradient of each parameter that has had any; begin anew.

        Args:
            scale: Reads the loss scale that the gradients have, and keep; a GPU is waited for then.
        """
        total, self._total = self._total, {}
        return total


class GradientAggregate(GradientSum):
    """Aggregates them on what several tasks train, and adds them up elsewhere.

    Args:
        params: The parameters to aggregate on. A task that may not move one has zeros there.
        tasks: Names of the tasks, in order.
        aggregator: A ``torchjd.aggregation.Aggregator``.
        factor: Multiplies the rows.
        average: Whether the gradients are those of this rank's samples, and are averaged over the
            ranks before they are aggregated.

    Raises:
        ValueError: If there is no such parameter.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        tasks: Sequence[str],
        aggregator: Any,
        factor: float = 1,
        average: bool = False,
    ) -> None:
        super().__init__()
        self.params = list(params)
        self.tasks = list(tasks)
        if not self.params:
            raise ValueError(
                f'{KEY}: the mask leaves no parameter of the backbone to several tasks, so there '
                f'is nothing to aggregate'
            )
        self.aggregator, self.factor, self.average = aggregator, factor, average
        self._on: list[nn.Parameter] = []
        self._jacobian: TaskJacobian | None = None

    def add(self, task: str, gradients: Mapping[nn.Parameter, Tensor]) -> None:
        """Add gradients of a task."""
        rest = dict(gradients)
        if self._jacobian is None:
            self._on = trained(self.params)
            self._jacobian = TaskJacobian(self._on, self.tasks, self.factor)
        self._jacobian.add(task, [rest.pop(param, None) for param in self._on])
        super().add(task, rest)

    def take(self, scale: Callable[[], float]) -> dict[nn.Parameter, Tensor]:
        """The gradient of each parameter that has had any; begin anew."""
        total = super().take(scale)
        jacobian, self._jacobian = self._jacobian, None
        if jacobian is not None:
            if self.average:
                jacobian.average()
            parts = jacobian.split(aggregate(self.aggregator, jacobian, scale()))
            used = zip(self._on, parts, jacobian.used, strict=True)
            total.update((param, part) for param, part, any_task in used if any_task)
        return total
