"""Allocators: which tasks each sample of a batch is supervised by, sub-step after sub-step."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mmgradsplit.functional import allocations
from mmgradsplit.registry import ALLOCATORS

__all__ = ['ISTA', 'STA', 'Allocator', 'FullTask']


class Allocator:
    """From which tasks samples are annotated for to an allocation for each sub-step.

    The number of sub-steps depends on the number of tasks alone, so that all ranks take as many.

    Attributes:
        gap: Iterations after which a batch comes again; None if it does not.
        partial: Whether an annotated sample may be left to some of its tasks alone.
    """

    gap: int | None = None
    partial = True

    def check(self, tasks: Sequence[str]) -> None:
        """Check the options against the tasks of the model.

        Raises:
            ValueError: If they do not fit.
        """

    def sub_steps(self, num_tasks: int) -> int:
        """Sub-steps of an iteration."""
        return 1

    def __call__(
        self, annotated: NDArray[np.bool_], rng: np.random.Generator
    ) -> Iterator[NDArray[np.bool_]]:
        """Allocations of a batch.

        Args:
            annotated: shape [N x T], whether sample n is annotated for task t.
            rng: Source of the random choices; a function of seed, rank and iteration.

        Yields:
            shape [N x T], whether sample n is supervised by task t.
        """
        raise NotImplementedError


@ALLOCATORS.register_module()
class FullTask(Allocator):
    """Every sample is supervised by all tasks that it is annotated for (STA, section 3.1)."""

    partial = False

    def __call__(
        self, annotated: NDArray[np.bool_], rng: np.random.Generator
    ) -> Iterator[NDArray[np.bool_]]:
        """One allocation: all annotations."""
        yield annotated


@ALLOCATORS.register_module()
class ISTA(Allocator):
    """Interleaved stochastic task allocation (Algorithm 2): all tasks in turn, in random order.

    Args:
        size: Tasks a sample and sub-step. The paper: 1.
        weights: Positive numbers by task; one with a larger weight tends to come earlier.
    """

    def __init__(self, size: int = 1, weights: dict[str, float] | None = None) -> None:
        self.size = size
        self.weights = None if weights is None else dict(weights)
        self._weights: list[float] | None = None

    def check(self, tasks: Sequence[str]) -> None:
        """Check size and weights.

        Raises:
            ValueError: If there is no such subset, or the weights are not those of the tasks.
        """
        key = f'train_cfg.allocator ({type(self).__name__})'
        if not 1 <= self.size <= len(tasks):
            raise ValueError(
                f'{key}.size must be from 1 to the number of tasks, {len(tasks)}, got {self.size}'
            )
        if self.weights is not None:
            if sorted(self.weights) != sorted(tasks) or min(self.weights.values()) <= 0:
                raise ValueError(
                    f'{key}.weights must have a positive number for each of the tasks '
                    f'{list(tasks)}, got {self.weights}'
                )
            self._weights = [self.weights[task] for task in tasks]

    def sub_steps(self, num_tasks: int) -> int:
        """As many as it takes to give a sample every task."""
        return -(-num_tasks // self.size)

    def __call__(
        self, annotated: NDArray[np.bool_], rng: np.random.Generator
    ) -> Iterator[NDArray[np.bool_]]:
        """Every sample has every task of its own exactly once over the sub-steps."""
        return allocations(annotated, self.size, rng, self._weights)


@ALLOCATORS.register_module()
class STA(ISTA):
    """Stochastic task allocation (Algorithm 1): each sample has a random subset of the tasks.

    Args:
        size: Tasks a sample. The paper: 1.
        gap: Iterations after which the same batch comes again with another allocation (Table 7);
            by default it does not.
        weights: Positive numbers by task; one with a larger weight is drawn more often.
    """

    def __init__(
        self, size: int = 1, gap: int | None = None, weights: dict[str, float] | None = None
    ) -> None:
        super().__init__(size, weights)
        self.gap = gap

    def check(self, tasks: Sequence[str]) -> None:
        """Check size, weights and gap.

        Raises:
            ValueError: If they do not fit.
        """
        super().check(tasks)
        if self.gap is not None and self.gap < 1:
            raise ValueError(f'train_cfg.allocator (STA).gap must be at least 1, got {self.gap}')

    def sub_steps(self, num_tasks: int) -> int:
        """One."""
        return 1

    def __call__(
        self, annotated: NDArray[np.bool_], rng: np.random.Generator
    ) -> Iterator[NDArray[np.bool_]]:
        """One allocation, the first that ISTA would make."""
        yield next(super().__call__(annotated, rng))
