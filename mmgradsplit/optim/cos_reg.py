"""CosReg: task gradients are trained to be orthogonal."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.registry import OPTIM_WRAPPERS

from .aggregation.parameter_roles import LAST_LAYER, ParameterRoles
from .gradients import trained
from .weightings import Weighting
from .wrapper import JOINT, MultiTaskOptimWrapper


@OPTIM_WRAPPERS.register_module()
class CosRegOptimWrapper(MultiTaskOptimWrapper):
    """CosReg (Suteu and Guo 2019; STA, Table 1): squared cosines of task gradients in the loss.

    The loss becomes ``L + weight * sum_{s < t} cos^2(g_s, g_t)``, with the gradients ``g_t`` of the
    task losses on shared parameters. It is differentiated through these gradients, so an iteration
    costs about twice the time and memory of one without. A task without a sample in a step has no
    term. Joint training only. Of several processes each regularises the gradients of its own
    samples. The sum of the squares is logged as ``cos_reg``.

    Args:
        bases: mmengine's wrapper of the one optimizer.
        model: The MultiTaskModel.
        weighting: How task losses become one loss.
        weight: Factor of the squared cosines.
        on: What the gradients are taken on: ``'last_layer'``, ``'backbone'``, or a list of names of
            modules of the backbone, or patterns.

    Raises:
        ValueError: If a value does not fit.
    """

    def __init__(
        self,
        bases: Mapping[str, OptimWrapper],
        model: Any,
        weighting: Weighting,
        weight: float = 1.0,
        on: str | Sequence[str] = LAST_LAYER,
    ) -> None:
        super().__init__(bases, model, weighting)
        if weight < 0:
            raise ValueError(f'optim_wrapper.weight must not be negative, got {weight}')
        if on == 'features':
            raise ValueError(
                'optim_wrapper.on: CosReg takes gradients on parameters; name modules of the '
                "backbone, 'last_layer' or 'backbone'"
            )
        self.weight = weight
        self.params = ParameterRoles(model, on).shared

    @classmethod
    def why_joint_only(cls, cfg: Mapping[str, Any]) -> str:
        """A step of round-robin training has the gradient of one task alone."""
        return f'CosReg compares task gradients of the same step, {JOINT}'

    def update_tasks(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Back-propagate the loss with the squared cosines, and update.

        Args:
            losses: The loss of each task that is supervised in this step, a scalar each.

        Returns:
            What is logged.
        """
        total = self.weigh(losses)
        squares = squared_cosines(list(losses.values()), trained(self.params))
        self.back_propagate(total + self.weight * squares)
        return dict(self.logs(total), cos_reg=squares.detach())


def squared_cosines(losses: Sequence[Tensor], params: Sequence[nn.Parameter]) -> Tensor:
    """The sum over pairs of losses of the squared cosine of their gradients, differentiable.

    Args:
        losses: Scalars.
        params: What the gradients are taken on.

    Returns:
        A scalar. A gradient of zero is orthogonal to all others.
    """
    gradients = []
    for loss in losses:
        found = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
        parts = [
            torch.zeros_like(param) if part is None else part
            for param, part in zip(params, found, strict=True)
        ]
        gradients.append(torch.cat([part.flatten() for part in parts]))
    tiny = torch.finfo(params[0].dtype).tiny
    total = params[0].new_zeros(())
    for one, other in combinations(gradients, 2):
        product = one @ other
        total = total + product / (one @ one).clamp(tiny) * product / (other @ other).clamp(tiny)
    return total
