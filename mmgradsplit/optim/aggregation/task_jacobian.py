"""The gradients of several tasks as a matrix, a row a task."""

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


class TaskJacobian:
    """Gradients of T task losses with respect to the same tensors.

    They stay what autograd returned, without a copy; what needs a matrix makes one.

    Args:
        tensors: The tensors, of P values in all: parameters, or the features of a batch.
        tasks: Names of the tasks, in order.
        factor: Multiplies all gradients.

    Attributes:
        given: shape [T], whether a task has had a gradient.
        used: shape [number of tensors], whether a loss depends on a tensor.
    """

    def __init__(self, tensors: Sequence[Tensor], tasks: Sequence[str], factor: float = 1) -> None:
        self.tensors = list(tensors)
        self.tasks = list(tasks)
        self.factor = factor
        self.sizes = [tensor.numel() for tensor in self.tensors]
        self.like = any_matrix(self.tensors[0], len(self.tasks))
        self.given = torch.zeros(len(self.tasks), dtype=torch.int64)
        self.used = torch.zeros(len(self.tensors), dtype=torch.int64)
        self._losses = torch.zeros(len(self.tasks), dtype=torch.float64)
        # A row a task, flat; None is zero.
        self._rows: list[list[Tensor | None]] = [[None] * len(self.tensors) for _ in self.tasks]

    def add(self, task: str, gradients: Sequence[Tensor | None], loss: float = 0.0) -> None:
        """Add to a task's row.

        Args:
            task: Name of the task.
            gradients: One for each tensor; None where the loss does not depend on it.
            loss: The loss that these are the gradient of, where somebody asks for :attr:`losses`.
        """
        index = self.tasks.index(task)
        self.given[index] = 1
        self._losses[index] += loss
        row = self._rows[index]
        for column, gradient in enumerate(gradients):
            if gradient is not None:
                new, earlier = gradient.flatten().to(self.like), row[column]
                row[column] = new if earlier is None else earlier + new
                self.used[column] = 1

    def state(self) -> dict[str, Any]:
        """All that was added."""
        return dict(
            factor=self.factor,
            given=self.given,
            used=self.used,
            losses=self._losses,
            rows=self._rows,
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load what :meth:`state` returned, of as many tasks and tensors."""
        self.factor = state['factor']
        self.given, self.used = state['given'].cpu(), state['used'].cpu()
        self._losses = state['losses'].cpu()
        self._rows = [
            [None if part is None else part.to(self.like) for part in row] for row in state['rows']
        ]

    def average(self) -> None:
        """Replace each row by its mean over all ranks, so that all ranks hold the same."""
        if get_world_size() > 1:
            matrix = self._matrix(range(len(self.tasks)), 1 / get_world_size())
            all_reduce(matrix)
            self._rows = [list(row.split(self.sizes)) for row in matrix]
            all_reduce(self.used)
            self.share_given()

    def share_given(self) -> None:
        """Count a task as given where it is on any rank; its loss is the mean over the ranks."""
        all_reduce(self.given)
        all_reduce(self._losses, 'mean')

    @property
    def present(self) -> list[str]:
        """The tasks that have had a gradient, in order."""
        return [self.tasks[index] for index in self._present]

    @property
    def losses(self) -> dict[str, float]:
        """The losses of :attr:`present`, as they were given."""
        return dict(zip(self.present, self._losses[self._present].tolist(), strict=True))

    @property
    def _present(self) -> list[int]:
        return self.given.nonzero().flatten().tolist()

    def rows(self, factor: float = 1) -> Tensor:
        """The rows of :attr:`present` as a matrix, shape [m x P], in float32 or better.

        Args:
            factor: Multiplies them.
        """
        return self._matrix(self._present, self.factor * factor)

    def _matrix(self, indices: Sequence[int], factor: float) -> Tensor:
        matrix = self.like.new_empty(len(indices), sum(self.sizes))
        for slots, index in zip(matrix, indices, strict=True):
            for slot, part in zip(slots.split(self.sizes), self._rows[index], strict=True):
                if part is None:
                    slot.zero_()
                else:
                    torch.mul(part, factor, out=slot)
        return matrix

    def gramian(self) -> Tensor:
        """The inner products of :meth:`rows`, shape [m x m]."""
        rows = [self._rows[index] for index in self._present]
        gramian = self.like.new_zeros(len(rows), len(rows))
        for (i, one), (j, other) in combinations_with_replacement(enumerate(rows), 2):
            products = [
                a @ b for a, b in zip(one, other, strict=True) if a is not None and b is not None
            ]
            if products:
                gramian[i, j] = gramian[j, i] = torch.stack(products).sum()
        return gramian * self.factor**2

    def weighted_sum(self, weights: Sequence[float]) -> Tensor:
        """The sum of :meth:`rows`, each times its weight, shape [P].

        Args:
            weights: m numbers.
        """
        vector = self.like.new_empty(sum(self.sizes))
        rows = [self._rows[index] for index in self._present]
        for slot, *parts in zip(vector.split(self.sizes), *rows, strict=True):
            filled = False
            for part, weight in zip(parts, weights, strict=True):
                if part is None:
                    continue
                if filled:
                    slot.add_(part, alpha=weight * self.factor)
                else:
                    torch.mul(part, weight * self.factor, out=slot)
                    filled = True
            if not filled:
                slot.zero_()
        return vector

    def split(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector, shape [P], into one part for each tensor, of its shape and type."""
        parts = vector.split(self.sizes)
        return [
            part.view(tensor.shape).to(tensor.dtype)
            for part, tensor in zip(parts, self.tensors, strict=True)
        ]


def any_matrix(param: Tensor, tasks: int) -> Tensor:
    """A matrix with a row a task, of the type and on the device of task gradients.

    Args:
        param: A parameter that they are taken on.
        tasks: Number of tasks.

    Returns:
        The identity, shape [T x T].
    """
    dtype = torch.promote_types(param.dtype, torch.float32)
    return torch.eye(tasks, dtype=dtype, device=param.device)
