"""Task-specific normalisation: a norm a task, all else of the backbone shared."""

import copy
from collections.abc import Sequence
from typing import Any

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmgradsplit.registry import MODELS

from .shared_backbone import BackbonePass

PLAIN = 'plain'


@MODELS.register_module()
class TaskNorm(nn.ModuleDict):
    """A norm a task, as in the backbone ResNet-50-TBN of GradSplit (section 3.2, Table 2).

    The ``norm_cfg`` of any upstream backbone may name it. :class:`MultiTaskModel` gives it the
    tasks; each then trains the affine parameters and running statistics of its own norm, and of no
    other. Outside a MultiTaskModel it is a single norm.

    Features differ by task from the first norm on, so that all tasks of an image need a pass each
    (``MultiTaskModel.passes``).

    The weights of a plain norm can be loaded into it: every task's norm starts from them.

    Args:
        num_features: Channels.
        norm: Config of each task's norm. By default batch normalisation.
        eps: Of each norm, unless ``norm`` says otherwise.

    Example:
        >>> backbone = dict(type='mmpretrain.ResNet', norm_cfg=dict(type='mmgradsplit.TaskNorm'))
    """

    _abbr_ = 'bn'  # upstream names the norm bn1, bn2, …, as ImageNet weights do

    def __init__(self, num_features: int, norm: dict | None = None, eps: float = 1e-5) -> None:
        cfg = {'type': 'BN', 'eps': eps, **(norm or {})}
        super().__init__({PLAIN: build_norm_layer(cfg, num_features)[1]})
        self._pass: BackbonePass | None = None

    def link(self, backbone_pass: BackbonePass, tasks: Sequence[str]) -> None:
        """Make a norm for each of ``tasks``; the pass says whose turn it is."""
        plain = self.pop(PLAIN)
        self.update({task: copy.deepcopy(plain) for task in tasks})
        self._pass = backbone_pass

    @property
    def weight(self) -> Tensor:
        """Scales of the first task's norm, shape [C]; upstream's initialisers write to them."""
        return self._first.weight

    @property
    def bias(self) -> Tensor:
        """Shifts of the first task's norm, shape [C]."""
        return self._first.bias

    @property
    def _first(self) -> Any:
        return next(iter(self.values()))

    def start_alike(self) -> None:
        """Let every task's norm start as the first one has been initialised."""
        for norm in self.values():
            norm.load_state_dict(self._first.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise by the norm of the task whose pass this is.

        Args:
            inputs: shape [N x C x H x W].

        Returns:
            shape [N x C x H x W].

        Raises:
            RuntimeError: If the backbone was called without a task.
        """
        task = PLAIN if self._pass is None else self._pass.task
        if task is None:
            raise RuntimeError(
                'the backbone has a norm for each task (model.backbone.norm_cfg is of the type '
                "'TaskNorm'): call model(..., task=...) or model.backbone_pass(inputs, task)"
            )
        return self[task](inputs)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key[len(prefix) :]
            if '.' not in name:  # of a plain norm
                value = state_dict.pop(key)
                state_dict.update({f'{prefix}{task}.{name}': value for task in self})
        super()._load_from_state_dict(state_dict, prefix, *args)
