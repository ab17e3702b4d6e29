"""CosReg: task gradients are trained to be orthogonal. May import torch and mmengine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.registry import OPTIM_WRAPPERS
from mmgradsplit.utils import unwrapped

from .aggregation.parameter_roles import LAST_LAYER, ParameterRoles, trained
from .forward_pass import ForwardPass, watched


@OPTIM_WRAPPERS.register_module()
class CosRegOptimWrapper(OptimWrapper):
    """CosReg (Suteu and Guo 2019; STA, Table 1): squared cosines of task gradients in the loss.

    The loss becomes ``L + weight * sum_{s < t} cos^2(g_s, g_t)``, with the gradients ``g_t`` of the
    task losses on shared parameters. It is differentiated through these gradients, so an iteration
    costs about twice the time and memory of one without. A task without a sample in a step has no
    term. Joint training only. Of several processes each regularises the gradients of its own
    samples. The sum of the squares is logged as ``cos_reg``.

    Args:
        weight: Factor of the squared cosines.
        on: What the gradients are taken on: ``'last_layer'``, ``'backbone'``, or a list of names of
            modules of the backbone, or patterns.
        model: The MultiTaskModel; from :class:`TaskGradientOptimWrapperConstructor`.
        **kwargs: As in mmengine's ``OptimWrapper``.

    Raises:
        ValueError: If a value does not fit.
    """

    def __init__(
        self,
        weight: float,
        on: str | Sequence[str] = LAST_LAYER,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if model is None:
            raise ValueError(
                'CosRegOptimWrapper has to know the model: set optim_wrapper.constructor='
                "'TaskGradientOptimWrapperConstructor'"
            )
        if weight < 0:
            raise ValueError(f'optim_wrapper.weight must not be negative, got {weight}')
        if on == 'features':
            raise ValueError(
                'optim_wrapper.on: CosReg takes gradients on parameters; name modules of the '
                "backbone, 'last_layer' or 'backbone'"
            )
        self.weight = weight
        self.params = ParameterRoles(model, on).shared
        self._pass = ForwardPass()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass: mmengine's, watching what the pass shows."""
        with super().optim_context(model), watched(unwrapped(model)) as self._pass:
            yield
        if self._pass.task is not None:
            raise ValueError(
                'CosRegOptimWrapper compares task gradients of the same step; it needs joint '
                'training (train_cfg.type JointTrainLoop)'
            )

    def update_params(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Back-propagate ``loss`` with the squared cosines, and update.

        Args:
            loss: The loss of the step.
            *args: As in mmengine.
            **kwargs: As in mmengine.
        """
        seen, self._pass = self._pass, ForwardPass()
        squares = squared_cosines(list(seen.losses.values()), trained(self.params))
        self.message_hub.update_scalar('train/cos_reg', float(squares.detach()))
        super().update_params(loss + self.weight * squares, *args, **kwargs)


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
