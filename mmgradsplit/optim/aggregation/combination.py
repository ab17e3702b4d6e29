"""An aggregator applied to task gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast, get_rank
from mmengine.logging import MessageHub
from torch import Tensor

from mmgradsplit.optim.torchjd_state import is_stateful

from .aggregators import BY_COLUMN, KEY, torchjd_aggregation
from .task_jacobian import TaskJacobian

NORMALISATIONS = ('l2', 'loss', 'loss+')
Weights = dict[str, float]


class Combination:
    """Makes one gradient of task gradients by an aggregator.

    Args:
        aggregator: A ``torchjd.aggregation.Aggregator``.
        normalise: What the rows are divided by where the aggregator looks for its weights, as in
            MGDA's official code: ``'l2'``, their norms, ``'loss'``, the losses of the tasks, or
            ``'loss+'``, the product of the two. The weights then apply to the rows as they are.
        mean: Whether the aggregate is divided by the number of rows.

    Raises:
        ValueError: If there is no such normalisation, or the aggregator has no weights.
    """

    def __init__(self, aggregator: Any, normalise: str | None = None, mean: bool = False) -> None:
        self.aggregator, self.normalise, self.mean = aggregator, normalise, mean
        if normalise is None:
            return
        if normalise not in NORMALISATIONS:
            raise ValueError(
                f'optim_wrapper.normalise must be one of {NORMALISATIONS} or None, got '
                f'{normalise!r}'
            )
        self.check_weighted('optim_wrapper.normalise')

    def check_weighted(self, key: str) -> None:
        """Check that the aggregate is a weighted sum of the task gradients.

        Args:
            key: What in the config needs it.

        Raises:
            ValueError: If it is none.
        """
        if not isinstance(self.aggregator, torchjd_aggregation().WeightedAggregator):
            raise ValueError(
                f'{key} needs an aggregator that gives a weight to each task, such as '
                f'torchjd.MGDA, torchjd.IMTLG or torchjd.PCGrad, but '
                f'{type(self.aggregator).__name__} gives none'
            )

    def __call__(
        self, jacobian: TaskJacobian, scale: float = 1.0, apart: bool = False
    ) -> tuple[Tensor, Weights | None]:
        """What becomes of the rows that a matrix of task gradients has.

        The weights that the aggregator gives to the tasks are logged as ``aggregator/<task>``.

        Args:
            jacobian: The task gradients.
            scale: The loss scale that they have; the aggregator sees them without.
            apart: Whether every rank has columns of its own; otherwise all have the same matrix.

        Returns:
            The aggregate, shape [P], with the loss scale, and the weight of each task that has a
            row, where it is a weighted sum. Gradients that are not finite are added up, so that a
            loss scaler finds them.

        Raises:
            ValueError: If the aggregator refuses the rows, or needs those of all tasks.
        """
        tasks = jacobian.present
        if not tasks:
            return jacobian.weighted_sum([]), None
        if len(tasks) < len(jacobian.tasks) and is_stateful(self.aggregator):
            raise ValueError(
                f'{KEY}: {type(self.aggregator).__name__} keeps a state for every task, but only '
                f'{tasks} had a sample; use larger batches, or an aggregator without a state'
            )
        try:
            vector, found = self._combine(jacobian, scale, apart)
        except ValueError as error:
            raise ValueError(f'{KEY}, on the gradients of {tasks}: {error}') from error
        if found is None:
            return vector, None
        weights = dict(zip(tasks, found, strict=True))
        hub = MessageHub.get_current_instance()
        for task, weight in weights.items():
            hub.update_scalar(f'train/aggregator/{task}', weight)
        return vector, weights

    def _combine(
        self, jacobian: TaskJacobian, scale: float, apart: bool
    ) -> tuple[Tensor, list[float] | None]:
        """The aggregate, and its weights.

        An aggregator that needs only the inner products of the gradients costs no copy of them.
        """
        module = torchjd_aggregation()
        weighted = isinstance(self.aggregator, module.WeightedAggregator)
        # Weights must be the same on all ranks; a mask over columns, drawn for each column.
        offset = get_rank() if apart and not weighted else 0
        with torch.no_grad(), drawn_alike(jacobian.like.device, offset):
            gramian = jacobian.gramian() / scale**2
            if apart:
                all_reduce(gramian)
            share = 1 / len(gramian) if self.mean else 1.0
            if not bool(gramian.isfinite().all()):
                return jacobian.weighted_sum([share] * len(gramian)), None
            divisors = self._divisors(jacobian, gramian)
            if divisors is not None:
                gramian = gramian / divisors.outer(divisors)
            if isinstance(self.aggregator, module.GramianWeightedAggregator):
                weights = self.aggregator.gramian_weighting(gramian).mul(share).tolist()
                return jacobian.weighted_sum(weights), weights
            # The weights of these depend on the number of rows alone, and the Gramian has as many.
            counted = weighted and type(self.aggregator).__name__ in BY_COLUMN
            rows = gramian if counted else jacobian.rows(1 / scale)
            if not weighted:
                return self.aggregator(rows).mul_(scale * share), None
            if divisors is not None and not counted:
                rows /= divisors.unsqueeze(1)
            weights = self.aggregator.weighting(rows).mul(share).tolist()
            return jacobian.weighted_sum(weights), weights

    def _divisors(self, jacobian: TaskJacobian, gramian: Tensor) -> Tensor | None:
        """What each row is divided by, shape [m]; a row of zeros stays."""
        if self.normalise is None:
            return None
        divisors = gramian.new_ones(len(gramian))
        if self.normalise in ('loss', 'loss+'):
            losses = jacobian.losses
            bad = {task: value for task, value in losses.items() if not value > 0}
            if bad:
                raise ValueError(
                    f"optim_wrapper.normalise='{self.normalise}' divides by the losses, but {bad} "
                    f"is 0 or negative; use normalise='l2'"
                )
            divisors = divisors * gramian.new_tensor(list(losses.values()))
        if self.normalise in ('l2', 'loss+'):
            norms = gramian.diagonal().sqrt()
            divisors = divisors * torch.where(norms > 0, norms, 1.0)
        return divisors


@contextmanager
def drawn_alike(device: torch.device, offset: int = 0) -> Iterator[None]:
    """Within this context, torch draws the same on all ranks, and again in a resumed run.

    The seed comes from the first rank's generator, which the training loops seed in each step.

    Args:
        device: Where draws happen, besides the CPU.
        offset: Added to the seed: ranks with different ones draw differently.
    """
    seed = torch.randint(2**62, (1,))
    broadcast(seed)
    with torch.random.fork_rng([device] if device.type == 'cuda' else []):
        torch.manual_seed(int(seed) + offset)
        yield
