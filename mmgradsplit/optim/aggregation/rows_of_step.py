"""Where task gradients are aggregated in each step, and what the backbone then gets."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmgradsplit.optim.gradients import add_gradients, trained

from .combination import Combination, Weights
from .cut_features import CutFeatures
from .parameter_roles import ParameterRoles
from .task_jacobian import TaskJacobian


class FeatureRows:
    """On the backbone's outputs, of which the aggregate goes through the backbone once."""

    retains = False

    def __init__(self) -> None:
        self._features = CutFeatures()

    def during(self, backbone: nn.Module) -> AbstractContextManager[None]:
        """Context for the forward pass."""
        self._features = CutFeatures()
        return self._features.of(backbone)

    def matrix(self, tasks: Sequence[str], factor: float) -> TaskJacobian:
        """What the rows of this step are added to.

        Args:
            tasks: Names of the tasks, in order.
            factor: Multiplies the rows.

        Raises:
            ValueError: If the backbone did not run once.
        """
        passes = len(self._features.leaves)
        if passes != 1:
            raise ValueError(
                f"optim_wrapper.on='features': the backbone ran {passes} times in a step, so the "
                f"tasks do not share its features; use on='backbone'"
            )
        leaves = [leaf for leaf in self._features.leaves[0] if leaf.requires_grad]
        return TaskJacobian(leaves, tasks, factor)

    def back(
        self,
        jacobian: TaskJacobian,
        combination: Combination,
        scale: float,
        losses: Mapping[str, Tensor],
        factors: Mapping[str, Tensor],
    ) -> Weights | None:
        """Aggregate, and give the backbone its gradient.

        The joined batch is shared out among the ranks.

        Args:
            jacobian: The rows.
            combination: What becomes of them.
            scale: The loss scale that they have.
            losses: The task losses, with their graph.
            factors: What the loss of the step makes of each.

        Returns:
            The weights of the tasks; None where there are none.
        """
        jacobian.share_given()
        ranks = get_world_size()
        # The mean over the ranks is the gradient of the joined batch.
        jacobian.factor /= ranks
        vector, weights = combination(jacobian, scale, apart=True)
        parts = jacobian.split(vector * ranks)
        features = [feature for feature in self._features.features[0] if feature.requires_grad]
        pairs = zip(features, parts, jacobian.used, strict=True)
        used = [(feature, part) for feature, part, used in pairs if used]
        if used:
            torch.autograd.backward([one for one, _ in used], [part for _, part in used])
        return weights


class WholeLossRows:
    """On some parameters, of which the weights multiply the whole losses.

    Args:
        roles: What is shared in the backbone.
    """

    retains = True

    def __init__(self, roles: ParameterRoles) -> None:
        self.roles = roles

    def during(self, backbone: nn.Module) -> AbstractContextManager[Any]:
        """Context for the forward pass: none."""
        return nullcontext()

    def matrix(self, tasks: Sequence[str], factor: float) -> TaskJacobian:
        """As in :class:`FeatureRows`."""
        return TaskJacobian(trained(self.roles.shared), tasks, factor)

    def back(
        self,
        jacobian: TaskJacobian,
        combination: Combination,
        scale: float,
        losses: Mapping[str, Tensor],
        factors: Mapping[str, Tensor],
    ) -> Weights | None:
        """As in :class:`FeatureRows`."""
        size = jacobian.factor
        jacobian.average()
        _, weights = combination(jacobian, scale)
        used = [task for task in factors if losses[task].requires_grad]
        if used:
            # Gradients that are not finite are added up, so that a loss scaler finds them.
            sizes = [size * (1.0 if weights is None else weights[task]) for task in used]
            outputs = [one * factors[task] for one, task in zip(sizes, used, strict=True)]
            params = trained([*self.roles.shared, *self.roles.behind])
            values = [losses[task] for task in used]
            found = torch.autograd.grad(values, params, outputs, allow_unused=True)
            add_gradients(params, found)
        return weights
