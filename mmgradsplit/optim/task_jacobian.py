"""The gradients of several tasks as a matrix, a row a task. May import torch and mmengine."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from torch import Tensor, nn


class TaskJacobian:
    """Gradients of T task losses with respect to the same tensors.

    Args:
        tensors: The tensors, of P values in all: parameters, or the features of a batch.
        tasks: Names of the tasks, in order.

    Attributes:
        matrix: shape [T x P], in float32 or better.
        given: shape [T], whether a task has had a gradient.
        used: shape [number of tensors], whether a loss depends on a tensor.
    """

    def __init__(self, tensors: Sequence[Tensor], tasks: Sequence[str]) -> None:
        self.tensors = list(tensors)
        self.tasks = list(tasks)
        self.sizes = [tensor.numel() for tensor in self.tensors]
        like = self.tensors[0]
        self.matrix = torch.zeros(
            len(self.tasks),
            sum(self.sizes),
            dtype=torch.promote_types(like.dtype, torch.float32),
            device=like.device,
        )
        self.given = torch.zeros(len(self.tasks), dtype=torch.int64)
        self.used = torch.zeros(len(self.tensors), dtype=torch.int64)

    def add(self, task: str, gradients: Sequence[Tensor | None], factor: float = 1.0) -> None:
        """Add to a task's row.

        Args:
            task: Name of the task.
            gradients: One for each tensor; None where the loss does not depend on it.
            factor: Multiplies them.
        """
        row = self.tasks.index(task)
        self.given[row] = 1
        parts = self.matrix[row].split(self.sizes)
        for index, (part, gradient) in enumerate(zip(parts, gradients, strict=True)):
            if gradient is not None:
                part.add_(gradient.flatten(), alpha=factor)
                self.used[index] = 1

    def average(self) -> None:
        """Replace each row by its mean over all ranks, so that all ranks hold the same."""
        if get_world_size() > 1:
            all_reduce(self.matrix)
            self.matrix /= get_world_size()
            all_reduce(self.used)
            self.share_given()

    def share_given(self) -> None:
        """Count a task as given where it is on any rank."""
        all_reduce(self.given)

    @property
    def present(self) -> list[str]:
        """The tasks that have had a gradient, in order."""
        return [task for task, given in zip(self.tasks, self.given, strict=True) if given]

    def rows(self) -> Tensor:
        """The rows of :attr:`present`; the matrix itself where these are all tasks."""
        return self.matrix if bool(self.given.all()) else self.matrix[self.given > 0]

    def split(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector, shape [P], into one part for each tensor, of its shape and type."""
        parts = vector.split(self.sizes)
        return [
            part.view(tensor.shape).to(tensor.dtype)
            for part, tensor in zip(parts, self.tensors, strict=True)
        ]


def add_gradients(params: Sequence[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    """Add to ``grad`` of each parameter, as a backward pass does."""
    for param, gradient in zip(params, gradients, strict=True):
        if gradient is not None:
            param.grad = gradient if param.grad is None else param.grad + gradient


def average_gradients(params: Sequence[nn.Parameter]) -> None:
    """Replace ``grad`` of each parameter by its mean over the ranks; None stays where all have it.

    Args:
        params: The same on all ranks.
    """
    if get_world_size() == 1 or not params:
        return
    given = torch.tensor([param.grad is not None for param in params], dtype=torch.int64)
    all_reduce(given)
    gradients = []
    for param, number in zip(params, given, strict=True):
        if number:
            param.grad = torch.zeros_like(param) if param.grad is None else param.grad
            gradients.append(param.grad)
    all_reduce_params(gradients, op='mean')
