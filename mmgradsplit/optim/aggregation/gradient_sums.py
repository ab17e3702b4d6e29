"""What the task gradients of an update become: their sum, or what an aggregator makes of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmgradsplit.optim.gradients import trained

from .aggregators import KEY
from .combination import Combination, Weights
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

    def state(self, names: Mapping[nn.Parameter, str]) -> dict[str, Any]:
        """The gradients that were added since the last :meth:`take`.

        Args:
            names: Of the parameters.
        """
        return {'total': {names[param]: gradient for param, gradient in self._total.items()}}

    def load_state(self, state: Mapping[str, Any], params: Mapping[str, nn.Parameter]) -> None:
        """Load what :meth:`state` returned.

        Args:
            state: That.
            params: The parameters by name.
        """
        self._total = {
            params[name]: gradient.to(params[name]) for name, gradient in state['total'].items()
        }


class GradientAggregate(GradientSum):
    """Aggregates them on what several tasks train, and adds them up elsewhere.

    Args:
        params: The parameters to aggregate on. A task that may not move one has zeros there.
        tasks: Names of the tasks, in order.
        combination: What becomes of the rows.
        average: Whether the gradients are those of this rank's samples, and are averaged over the
            ranks before they are aggregated.

    Attributes:
        factor: Multiplies the rows.
        weights: The weights that the aggregator gave to the tasks last; None where it gives none.

    Raises:
        ValueError: If there is no such parameter.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        tasks: Sequence[str],
        combination: Combination,
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
        self.combination, self.average = combination, average
        self.factor: float = 1
        self.weights: Weights | None = None
        self._on: list[nn.Parameter] = []
        self._jacobian: TaskJacobian | None = None

    def add(self, task: str, gradients: Mapping[nn.Parameter, Tensor], loss: float = 0.0) -> None:
        """Add gradients of a task, and the loss that they are of."""
        rest = dict(gradients)
        if self._jacobian is None:
            self._jacobian = self._empty()
        self._jacobian.add(task, [rest.pop(param, None) for param in self._on], loss)
        super().add(task, rest)

    def take(self, scale: Callable[[], float]) -> dict[nn.Parameter, Tensor]:
        """The gradient of each parameter that has had any; begin anew."""
        total = super().take(scale)
        jacobian, self._jacobian = self._jacobian, None
        if jacobian is not None:
            if self.average:
                jacobian.average()
            vector, self.weights = self.combination(jacobian, scale())
            parts = jacobian.split(vector)
            used = zip(self._on, parts, jacobian.used, strict=True)
            total.update((param, part) for param, part, any_task in used if any_task)
        return total

    def state(self, names: Mapping[nn.Parameter, str]) -> dict[str, Any]:
        """The rows that were added since the last :meth:`take`, too."""
        rows = None if self._jacobian is None else self._jacobian.state()
        return {**super().state(names), 'rows': rows}

    def load_state(self, state: Mapping[str, Any], params: Mapping[str, nn.Parameter]) -> None:
        """Load what :meth:`state` returned."""
        super().load_state(state, params)
        self._jacobian = None
        if state['rows'] is not None:
            self._jacobian = self._empty()
            self._jacobian.load_state(state['rows'])

    def _empty(self) -> TaskJacobian:
        self._on = trained(self.params)
        return TaskJacobian(self._on, self.tasks, self.factor)
