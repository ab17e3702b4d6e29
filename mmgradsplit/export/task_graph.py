"""A network as a function of tensors: images in, the outputs of the heads out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmgradsplit.models import RegressionHead, ReIDHead
from mmgradsplit.utils.normalisation import normalisation_of

from .plain_model import toolbox_of

# What the head of a task puts out, by the toolbox of its model.
OUTPUTS = {'mmpretrain': 'logits', 'mmpose': 'heatmaps', 'mmseg': 'logits', 'mmdet': 'outputs'}


class TaskGraph(nn.Module):
    """A network as a function from images to the outputs of its heads.

    Args:
        model: A :class:`~mmgradsplit.models.MultiTaskModel`, which stays as it is.
        tasks: Names of the tasks, in the order of the outputs.
        normalised: Whether images come normalised, in floats; otherwise they are pictures from 0 to
            255, and normalising is part of the graph.

    Attributes:
        names: Of the outputs, such as ``'pose/heatmaps'``.

    Raises:
        ValueError: If the tasks normalise images in different ways, or one has no single head.
    """

    def __init__(self, model: Any, tasks: Sequence[str], normalised: bool = False) -> None:
        super().__init__()
        for task in tasks:
            head_of(model.tasks[task])
        self.mean: Tensor
        self.std: Tensor
        self.model = model
        self.task_names = list(tasks)
        self.normalised = normalised
        mean, std, self.flip = normalisation(model, tasks)
        self.register_buffer('mean', mean)
        self.register_buffer('std', std)
        self.names: list[str] = []

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order of ``names``.

        Args:
            images: shape [N x 3 x H x W], RGB: uint8, or normalised in float32.
        """
        inputs = images
        if not self.normalised:
            inputs = images.float()
            if self.flip:
                inputs = inputs.flip(1)
            inputs = (inputs - self.mean) / self.std
        outputs: dict[str, Tensor] = {}
        for group in self.model.passes:
            wanted = [task for task in group if task in self.task_names]
            if not wanted:
                continue
            features = self.model.backbone_pass(inputs, group[0])
            for task in wanted:
                outputs.update(head_outputs(self.model.tasks[task], task, features))
        ordered = [
            name for task in self.task_names for name in outputs if name.startswith(f'{task}/')
        ]
        self.names = ordered
        return tuple(outputs[name] for name in ordered)


def head_outputs(network: Any, task: str, features: Any) -> dict[str, Tensor]:
    """The outputs of a task's head by name, from the features of the shared backbone."""
    if getattr(network, 'neck', None) is not None:
        features = network.neck(features)
    head = head_of(network)
    if isinstance(head, ReIDHead):
        return {f'{task}/embedding': head.pre_logits(features)}
    name = 'values' if isinstance(head, RegressionHead) else OUTPUTS[toolbox_of(type(network))]
    return _named(f'{task}/{name}', head(features))


def head_of(network: Any) -> Any:
    """The head of a task's model, whatever its toolbox calls it.

    Raises:
        ValueError: If it has none, or several.
    """
    for name in ('head', 'decode_head', 'bbox_head'):
        head = getattr(network, name, None)
        if isinstance(head, nn.Module) and not isinstance(head, nn.ModuleList):
            return head
    raise ValueError(
        f'{type(network).__name__} has no single head, as detectors of two stages have none, and '
        f'cannot be part of a graph: leave its task out by --task, or export a model of its toolbox'
    )


def _named(name: str, outputs: Any) -> dict[str, Tensor]:
    if isinstance(outputs, Tensor):
        return {name: outputs}
    parts = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
    return {
        key: each
        for number, part in parts
        for key, each in _named(f'{name}_{number}', part).items()
    }


def normalisation(model: Any, tasks: Sequence[str]) -> tuple[Tensor, Tensor, bool]:
    """How the tasks normalise an RGB picture: mean, deviation, and whether it is turned to BGR.

    Returns:
        Mean and standard deviation, shape [3 x 1 x 1], and whether channels are flipped before.

    Raises:
        ValueError: If two tasks do it in different ways.
    """
    found: dict[str, tuple[Tensor, Tensor, bool]] = {}
    for task in tasks:
        own = normalisation_of(model.tasks[task].data_preprocessor)
        found[task] = (own.mean, own.std, not own.converts)
    first = tasks[0]
    for task, (mean, std, flip) in found.items():
        one = found[first]
        if flip != one[2] or not torch.equal(mean, one[0]) or not torch.equal(std, one[1]):
            raise ValueError(
                f'one graph needs one input for all tasks, but {task} and {first} normalise images '
                f'in different ways: give them the same mean, std and channel order, or export '
                f'them one by one'
            )
    return found[first]
