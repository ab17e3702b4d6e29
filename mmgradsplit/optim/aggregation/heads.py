"""How large the gradients of the tasks' own parameters are under an aggregator."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmgradsplit.optim.gradients import add_gradients

from .combination import Weights

MEAN, OWN, WEIGHTED = SCALES = ('mean', 'own', 'weighted')


class HeadGradients:
    """The gradients of what belongs to one task alone: its head, and its norms in the backbone.

    - ``'mean'``: the gradient of the loss that the weighting makes, as without an aggregator. With
      uniform weighting in joint training it is ``1/T`` of that of the task's loss.
    - ``'own'``: the gradient of the task's own loss (MGDA, Algorithm 1; IMTL, Algorithm 1; LibMTL).
    - ``'weighted'``: that of the task's own loss, times the weight that the aggregator gives to the
      task (MGDA's official code, and AMTL's).

    Args:
        own: The parameters of each task.
        scale: One of these.

    Raises:
        ValueError: If it is none of these, or two tasks have the same parameter as their own.
    """

    def __init__(self, own: Mapping[str, Sequence[nn.Parameter]], scale: str = MEAN) -> None:
        if scale not in SCALES:
            raise ValueError(f'optim_wrapper.heads must be one of {SCALES}, got {scale!r}')
        self.scale = scale
        self.own = {task: list(dict.fromkeys(params)) for task, params in own.items()}
        params = [param for of_task in self.own.values() for param in of_task]
        if scale == WEIGHTED and len(set(params)) < len(params):
            raise ValueError(
                "optim_wrapper.heads='weighted' gives each task's parameters the weight of the "
                "task, but two tasks share a head; use heads='own'"
            )

    def add(
        self,
        gradients: Mapping[str, Sequence[Tensor | None]],
        params: Mapping[str, Sequence[nn.Parameter]],
        factor: float,
        weights: Weights | None = None,
    ) -> None:
        """Add what a step has given.

        Args:
            gradients: Gradients of the loss of the step, by task.
            params: The parameters that they are of.
            factor: What makes the gradient of a task's own loss of it.
            weights: The weights of the step, where they are known in each.
        """
        for task, parts in gradients.items():
            size = 1.0 if self.scale == MEAN else factor
            if self.scale == WEIGHTED and weights is not None:
                size *= weights[task]
            scaled = [part if size == 1 or part is None else size * part for part in parts]
            add_gradients(params[task], scaled)

    def weigh(self, weights: Weights | None) -> None:
        """Apply the weights that were found after all steps of an update.

        Args:
            weights: By task; None where gradients were not finite.
        """
        if self.scale != WEIGHTED:
            return
        for task, weight in (weights or {}).items():
            for param in self.own[task]:
                if param.grad is not None:
                    param.grad = weight * param.grad
