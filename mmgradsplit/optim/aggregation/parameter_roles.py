"""Whose gradient a parameter gets under an aggregator."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from mmgradsplit.functional import weighted_layers
from mmgradsplit.optim.gradients import trained
from mmgradsplit.optim.named_modules import named_parameters

BACKBONE = 'backbone'
FEATURES = 'features'
LAST_LAYER = 'last_layer'


class ParameterRoles:
    """The parameters of a MultiTaskModel by whose gradient they get.

    Args:
        model: The model.
        on: ``'backbone'`` or ``'features'``: all that the tasks share in the backbone;
            ``'last_layer'``: its last layer with a matrix or kernel of weights; or names, or
            patterns, of modules of the backbone.

    Attributes:
        own: The parameters of each task: its model's, and those of its norms in the backbone.
        shared: The parameters whose task gradients are aggregated.
        behind: Those that the tasks share in the rest of the backbone.
        rest: All others.

    Raises:
        ValueError: If ``on`` is none of these, there is nothing to aggregate, or the model does not
            know which parameters are a task's own.
    """

    def __init__(self, model: Any, on: str | Sequence[str]) -> None:
        if not hasattr(model, 'own_parameters'):
            raise ValueError(
                f'optim_wrapper.on: task gradients on what the tasks share are taken of a '
                f'MultiTaskModel, but the model is a {type(model).__name__}; set '
                f"optim_wrapper.type to 'MultiTaskOptimWrapper'"
            )
        self.own: dict[str, list[nn.Parameter]] = {
            task: list(model.own_parameters(task)) for task in model.tasks
        }
        owned = {param for params in self.own.values() for param in params}
        if on in (BACKBONE, FEATURES):
            inside = list(model.backbone.parameters())
        elif on == LAST_LAYER:
            last = list(weighted_layers(model.backbone).values())[-1:]
            inside = [param for layer in last for param in layer.parameters()]
        elif isinstance(on, str):
            raise ValueError(
                f"optim_wrapper.on must be '{BACKBONE}', '{FEATURES}', '{LAST_LAYER}' or a list of "
                f"names of modules of the backbone, got '{on}'"
            )
        else:
            inside = named_parameters(model.backbone, on, 'optim_wrapper.on')
        self.shared = [param for param in inside if param not in owned]
        taken = owned.union(self.shared)
        self.behind = [param for param in model.backbone.parameters() if param not in taken]
        taken.update(self.behind)
        self.rest = [param for param in model.parameters() if param not in taken]
        if not trained(self.shared):
            raise ValueError(
                f'optim_wrapper.on={on!r}: no parameter there is shared by the tasks and trained, '
                f'so there is nothing to aggregate'
            )
