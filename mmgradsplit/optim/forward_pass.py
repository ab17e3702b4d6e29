"""What a forward pass of a MultiTaskModel shows to an optimizer wrapper. May import torch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class ForwardPass:
    """What a forward pass shows.

    Attributes:
        task: The task of a task step; None in joint training.
        losses: Task losses of joint training, as the weighting got them.
        features: What the backbone returned in each of its passes, where the graph is cut.
        leaves: What the tasks got in their place: the same values, without a graph behind them.
    """

    task: str | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    features: list[list[Tensor]] = field(default_factory=list)
    leaves: list[list[Tensor]] = field(default_factory=list)


@contextmanager
def watched(model: Any, cut: bool = False) -> Iterator[ForwardPass]:
    """Within this context, note what the forward pass of the model shows.

    Args:
        model: A MultiTaskModel.
        cut: Whether to cut the graph between the backbone and the tasks. Of features that depend on
            each other, each then has the gradient that comes from the tasks alone.
    """
    seen = ForwardPass()

    def begin(_: Any, args: tuple, kwargs: dict) -> None:
        seen.task = kwargs.get('task')

    def part(_: Any, args: tuple, out: Any) -> Any:
        features = [out] if isinstance(out, Tensor) else list(out)
        leaves = [each.detach().requires_grad_(each.requires_grad) for each in features]
        seen.features.append(features)
        seen.leaves.append(leaves)
        return leaves[0] if isinstance(out, Tensor) else type(out)(leaves)

    with ExitStack() as stack:
        handles = [
            model.register_forward_pre_hook(begin, with_kwargs=True),
            model.weighting.register_forward_pre_hook(lambda _, args: seen.losses.update(args[0])),
        ]
        if cut:
            handles.append(model.backbone.register_forward_hook(part))
        for handle in handles:
            stack.callback(handle.remove)
        yield seen


def is_checkpointed(loss: Tensor) -> bool:
    """Whether parts of the graph hide their parameters: reentrant activation checkpointing.

    Such parts have gradients in a whole backward pass only; ``torch.autograd.grad`` takes their
    parameters for unused.

    Args:
        loss: A loss with its graph.
    """
    left = [loss.grad_fn]
    seen = set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        if type(node).__name__ == 'CheckpointFunctionBackward':
            return True
        seen.add(node)
        left += [following for following, _ in node.next_functions]
    return False
