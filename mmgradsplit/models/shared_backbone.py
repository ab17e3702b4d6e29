"""The backbone that tasks see: no parameters, hands the call on to the shared backbone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import nn

from mmgradsplit.registry import MODELS
from mmgradsplit.utils import also_recomputed


class BackbonePass:
    """Runs the shared backbone for a task, or hands out features that are already computed.

    Not a module, so that the tasks that refer to it do not own the backbone's parameters.

    Args:
        backbone: The shared backbone.
        channels_last: Whether images get their channels last in memory before the pass.

    Attributes:
        task: The task of the latest pass, which modules that differ by task read. Where activation
            checkpointing runs parts of an earlier pass again, in the backward pass, it is that of
            the earlier one.
    """

    def __init__(self, backbone: nn.Module, channels_last: bool = False) -> None:
        self.backbone = backbone
        self.format = torch.channels_last if channels_last else torch.preserve_format
        self.task: str | None = None
        self._inputs: torch.Tensor | None = None
        self._features: Any = None

    def __call__(self, inputs: torch.Tensor, task: str) -> Any:
        """Features of ``inputs`` (shape [N x 3 x H x W]) for ``task``, as the backbone returns."""
        if inputs is self._inputs:
            return self._features
        self.task = task
        with also_recomputed(lambda: self._as_of(task)):
            return self.backbone(inputs.to(memory_format=self.format))

    @contextmanager
    def _as_of(self, task: str) -> Iterator[None]:
        later, self.task = self.task, task
        try:
            yield
        finally:
            self.task = later

    @contextmanager
    def hand_out(self, inputs: torch.Tensor, features: Any) -> Iterator[None]:
        """Within this context, ``features`` stand for a pass over exactly ``inputs``.

        Another tensor (a flipped image, say) still goes through the backbone.

        Args:
            inputs: shape [N x 3 x H x W].
            features: What the backbone returned for ``inputs``.
        """
        self._inputs, self._features = inputs, features
        try:
            yield
        finally:
            self._inputs = self._features = None


@MODELS.register_module()
class SharedBackbone(BaseModule):
    """Takes the place of the backbone in a task's model; :class:`MultiTaskModel` links it."""

    def __init__(self) -> None:
        super().__init__()
        self._pass: BackbonePass | None = None
        self._task = ''

    def link(self, backbone_pass: BackbonePass, task: str) -> None:
        """Connect ``task`` to the pass over the shared backbone."""
        self._pass, self._task = backbone_pass, task

    def forward(self, inputs: torch.Tensor) -> Any:
        """Features of ``inputs`` (shape [N x 3 x H x W]) from the shared backbone."""
        if self._pass is None:
            raise RuntimeError(
                "a SharedBackbone works only inside a MultiTaskModel; put this task's config under "
                'model.tasks'
            )
        return self._pass(inputs, self._task)
