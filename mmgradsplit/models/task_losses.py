"""The contract of a training step: a model computes task losses, an optimizer wrapper updates."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from numpy.typing import NDArray
from torch import Tensor, nn

from mmgradsplit.functional import uniform_loss
from mmgradsplit.registry import MODEL_WRAPPERS
from mmgradsplit.utils import also_recomputed, hides_parameters, non_reentrant, unwrapped

from .batches import take
from .exchanges import Exchanges, without_statistics


class TaskLosses(NamedTuple):
    """What a model makes of a batch in training.

    Attributes:
        losses: The loss of each task that is supervised, a scalar: the mean over its samples on all
            ranks. Its gradient is this rank's part of it: the mean over the ranks is the whole.
        logs: What is logged, by the full names.
    """

    losses: dict[str, Tensor]
    logs: dict[str, Any]


def take_step(network: nn.Module, data: dict, optim_wrapper: OptimWrapper) -> TaskLosses:
    """A training step: task losses from the model, the update from the optimizer wrapper.

    Within the wrapper's context the network runs on the batch; then the wrapper is handed the task
    losses. Nothing else passes between the two. A plain wrapper of mmengine's gets the uniform
    loss.

    Args:
        network: A model that computes task losses, or DistributedDataParallel around it.
        data: A batch of the dataloader, with ``task`` or ``allocation``.
        optim_wrapper: A wrapper with ``update_tasks``, or one of mmengine's.

    Returns:
        The task losses, and what is logged, that of the wrapper included.
    """
    bare = unwrapped(network)
    with optim_wrapper.optim_context(network):
        data = bare.data_preprocessor(data, True)
        with non_reentrant():
            outputs = network(**data, mode='loss')
    losses, logs = bare.task_losses(outputs, data)
    if isinstance(network, MultiTaskDistributedDataParallel):
        network.check_graph(losses)
    update = getattr(optim_wrapper, 'update_tasks', None)
    if update is not None:
        return TaskLosses(losses, {**logs, **update(losses)})
    task_step = data.get('task') is not None
    count = 1 if task_step else len(bare.tasks)
    total = uniform_loss(losses, count, bare.loss_weights)
    optim_wrapper.update_params(total)
    return TaskLosses(losses, logs if task_step else {**logs, 'loss': total.detach()})


class ComputesTaskLosses:
    """What a model has to do with its task losses, whichever toolbox its base class is of.

    Attributes:
        loss_weights: ``lambda_t`` by task of the uniform weighting, for those that are not 1.
        exchanges: What the tasks exchange between ranks in the forward pass.
    """

    loss_weights: Mapping[str, float] = MappingProxyType({})
    data_preprocessor: nn.Module
    exchanges: Exchanges

    def task_losses(self, outputs: Any, data: Mapping[str, Any]) -> TaskLosses:
        """The task losses of what ``forward`` returned for ``'loss'``.

        Args:
            outputs: What it returned.
            data: The preprocessed batch.
        """
        raise NotImplementedError

    def compute_losses(self, batch: dict[str, Any]) -> TaskLosses:
        """The task losses of a batch, without an update.

        Args:
            batch: A batch of the dataloader, with ``task`` or ``allocation``; it is used up.
        """
        data = self.data_preprocessor(batch, True)
        with non_reentrant():
            outputs = self(**data, mode='loss')  # type: ignore[operator]
        return self.task_losses(outputs, data)

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """A training step, see :func:`take_step`.

        Args:
            data: A batch of the dataloader, with ``task`` or ``allocation``.
            optim_wrapper: Makes the update.

        Returns:
            What is logged.
        """
        return take_step(self, data, optim_wrapper).logs  # type: ignore[arg-type]


@MODEL_WRAPPERS.register_module()
class MultiTaskDistributedDataParallel(MMDistributedDataParallel):
    """mmengine's DistributedDataParallel for models that compute task losses, and for others.

    Args:
        module: The model.
        **kwargs: As in mmengine's ``MMDistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        super().__init__(module=module, **kwargs)
        self._checked: set[tuple[str, ...]] = set()

    def check_graph(self, losses: Mapping[str, Tensor]) -> None:
        """Look for parameters that are hidden from it, in the first step of each kind.

        Args:
            losses: The task losses of a step, with their graph.

        Raises:
            ValueError: In place of torch's error in the backward pass.
        """
        tasks = tuple(losses)
        if not self.find_unused_parameters or tasks in self._checked:
            return
        if any(hides_parameters(loss) for loss in losses.values()):
            raise ValueError(
                f'model: a part that the tasks {list(tasks)} use computes activations again in the '
                f"backward pass by torch's reentrant checkpointing, which several processes with "
                f'find_unused_parameters=True cannot do; set with_cp=False in that part (such as '
                f"mmdet's HRFPN), or remove the config's key activation_checkpointing"
            )
        self._checked.add(tasks)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """A training step, as :func:`take_step` does it; mmengine's, if there are no task losses.

        Args:
            data: A batch of the dataloader, with ``task`` or ``allocation``.
            optim_wrapper: Makes the update.

        Returns:
            What is logged.
        """
        if not hasattr(self.module, 'task_losses'):
            return super().train_step(data, optim_wrapper)
        return take_step(self, data, optim_wrapper).logs


def supervised_losses(
    model: Any,
    inputs: Tensor,
    samples: Sequence,
    allocation: NDArray[np.bool_],
    counts: NDArray[np.int64] | None,
) -> TaskLosses:
    """The loss of each task that has a sample: the mean over its samples, on all ranks.

    Args:
        model: A MultiTaskModel.
        inputs: shape [N x 3 x H x W], preprocessed.
        samples: N data samples with the annotations of all tasks.
        allocation: shape [N x T], which tasks each sample is supervised by.
        counts: shape [T], samples allocated to each task on all ranks; None to leave other ranks
            alone.
    """
    column = {task: index for index, task in enumerate(model.tasks)}
    # Tasks with a sample on another rank, where that matters: all ranks run their parts together.
    elsewhere = [
        task
        for task in model.tasks
        if counts is not None and get_world_size() > 1 and counts[column[task]]
    ]
    losses: dict[str, Tensor] = {}
    logs: dict[str, Any] = {}
    nothing = inputs.new_zeros(())
    for group in model.passes:
        rows = np.flatnonzero(allocation[:, [column[task] for task in group]].any(1))
        if len(rows):
            images = take(inputs, rows)
            features = model.backbone_pass(images, group[0])
        elif set(group).isdisjoint(elsewhere):
            continue
        else:
            rows = np.arange(1)
            images = take(inputs, rows)
            with also_recomputed(lambda: without_statistics(model.backbone)):
                features = model.backbone_pass(images, group[0])
        if elsewhere:
            nothing = nothing + 0 * sum(part.sum() for part in _parts(features))
        for task in group:
            own = np.flatnonzero(allocation[rows, column[task]])
            if not len(own):
                if task in elsewhere:
                    losses[task] = model.exchanges.idle(model, task, nothing)
                continue
            part = take(images, own)
            with model.backbone_pass.hand_out(part, take(features, own)):
                outputs = model.tasks[task](part, [samples[rows[i]] for i in own], mode='loss')
            loss, log_vars = model.parse_losses(outputs)
            # DistributedDataParallel takes the mean over the ranks, whatever their samples.
            share = 1 if counts is None else len(own) * get_world_size() / counts[column[task]]
            losses[task] = loss if share == 1 else loss * share
            logs.update(under(task, log_vars))
    if counts is not None:
        losses = mean_of_ranks(losses, list(model.tasks), nothing)
    return TaskLosses(losses, logs)


def mean_of_ranks(
    losses: Mapping[str, Tensor], tasks: Sequence[str], nothing: Tensor
) -> dict[str, Tensor]:
    """The mean of each task's loss over the ranks.

    A weighting that is not linear needs the losses themselves, not a rank's part of them. The
    gradient is that of this rank's part: DistributedDataParallel takes the mean of the gradients.

    Args:
        losses: This rank's losses by task, scalars, of the tasks with a sample.
        tasks: Names of all tasks.
        nothing: A scalar zero, for a task with a sample on other ranks alone.

    Returns:
        The mean of each task with a sample on any rank; in one process, the losses as they are.
    """
    if get_world_size() == 1:
        return dict(losses)
    own = [losses.get(task, nothing) for task in tasks]
    given = [float(task in losses) for task in tasks]
    # In one type on all ranks, whatever their samples.
    values = torch.stack([value.detach().double() for value in own])
    shared = torch.stack([values, values.new_tensor(given)])
    all_reduce(shared, 'mean')
    means, anywhere = shared
    return {
        task: value + (mean - value.detach()).to(value)
        for task, value, mean, any_rank in zip(tasks, own, means, anywhere.tolist(), strict=True)
        if any_rank
    }


def under(task: str, log_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Log variables of a task under the task's name."""
    return {f'{task}/{name}': value for name, value in log_vars.items()}


def _parts(features: Any) -> Sequence[Tensor]:
    return [features] if isinstance(features, Tensor) else list(features)
