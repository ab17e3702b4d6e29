"""Task gradients become one gradient by an aggregator. May import torch and mmengine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.optim.forward_pass import ForwardPass, is_checkpointed, watched
from mmgradsplit.optim.torchjd_state import aggregator_state, load_aggregator_state
from mmgradsplit.registry import OPTIM_WRAPPERS
from mmgradsplit.utils import unwrapped

from .aggregators import KEY, aggregate, build_aggregator, check_for_features
from .parameter_roles import BACKBONE, FEATURES, ParameterRoles, trained
from .task_jacobian import TaskJacobian, add_gradients, any_matrix, average_gradients


@OPTIM_WRAPPERS.register_module()
class AggregatorOptimWrapper(OptimWrapper):
    """An aggregator makes one gradient out of the task gradients on the shared backbone.

    One update of the whole model for each sub-step of joint training, from one forward pass, or for
    each major iteration of round-robin training.

    - The row of task t is the gradient of ``lambda_t l_t``: with any ``model.weighting`` L, of
      ``T dL/dl_t l_t``, so that the mean of the rows is the gradient of L, and
      ``torchjd.Mean`` trains as without an aggregator. In round-robin training the row is the
      gradient of the loss of the task step. A task without a sample has no row.
    - A task's own parameters, and learned weights of losses, get the gradient that they get
      without an aggregator. What is aggregated by addition (``Sum``, ``PCGrad``, ``GradVac``,
      ``GradDrop``, ``ConFIG``) is up to T times as large as a mean, and so is its effective
      learning rate with SGD.
    - Rows are averaged over the ranks before they are aggregated, and draws are the same on all
      ranks, so that ranks cannot drift apart; they are the gradients of the joined batch.
    - Under ``accumulative_counts`` rows are accumulated and aggregated once, before the update: the
      rows of the joined batch again. In round-robin training it counts major iterations.
    - ``clip_grad`` is applied to the gradient of the update.

    Time and memory: each head is back-propagated once, the backbone T times; the T gradients take
    ``4 T P`` bytes for P values in the aggregated parameters in float32, and twice that where the
    aggregator needs more than their inner products (``GradDrop``, ``NashMTL``, …). Cheaper are:

    - ``on='features'``: the task gradients on the backbone's outputs are aggregated, and what
      becomes of them goes through the backbone once (MGDA-UB; the place of GradDrop): ``4 T F``
      bytes for F values in the features of a batch. Joint training only. With gradient accumulation
      they are aggregated in each step.
    - ``on='last_layer'``: the backbone's last layer with a matrix or kernel of weights (PCGrad in
      GradSplit's supplement, section D.2), or the modules that are named, ``on=['layer4.2']``. The
      rest of the backbone gets the gradient of L.

    The state of an aggregator that has one is in the checkpoint; the weights that it gives to the
    tasks are logged as ``aggregator/<task>``.

    Args:
        aggregator: See :func:`~mmgradsplit.optim.aggregation.aggregators.build_aggregator`.
        on: ``'backbone'``, ``'features'``, ``'last_layer'``, or a list of names of modules of the
            backbone, or patterns such as ``'layer[34]'``.
        model: The MultiTaskModel; from :class:`TaskGradientOptimWrapperConstructor`.
        **kwargs: As in mmengine's ``OptimWrapper``.

    Raises:
        ValueError: If a value does not fit.
        ImportError: If TorchJD, or what the aggregator needs, is not installed.

    Example:
        >>> optim_wrapper = dict(
        ...     type='AggregatorOptimWrapper',
        ...     optimizer=dict(type='SGD', lr=0.01),
        ...     aggregator=dict(type='torchjd.PCGrad'))
    """

    def __init__(
        self,
        aggregator: Mapping[str, Any] | None = None,
        on: str | Sequence[str] = BACKBONE,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if model is None:
            raise ValueError(
                f'{type(self).__name__} has to know the model: set '
                f"optim_wrapper.constructor='TaskGradientOptimWrapperConstructor'"
            )
        self.tasks = list(model.tasks)
        self.on = on
        self.roles = ParameterRoles(model, on)
        self._like = any_matrix(self.roles.shared[0], len(self.tasks))
        if aggregator is None:
            raise ValueError(f"{KEY} is missing; set it, to dict(type='torchjd.PCGrad'), say")
        self.aggregator = build_aggregator(aggregator, self.tasks, self._like)
        if on == FEATURES:
            check_for_features(self.aggregator)
            if len(model.passes) > 1:
                raise ValueError(
                    "optim_wrapper.on='features': the tasks have features of their own, as "
                    "model.backbone.norm_cfg is of the type 'TaskNorm'; use on='backbone'"
                )
        self._pass = ForwardPass()
        self._jacobian: TaskJacobian | None = None
        self._turn = 0  # task steps of this major iteration
        self._counts_task_steps = False
        self._checked: set[str | None] = set()

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Tell where training stands, in steps, as mmengine does."""
        super().initialize_count_status(model, init_counts, max_counts)
        self._turn = 0
        self._counts_task_steps = True

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass: mmengine's (autocast), watching what the pass shows."""
        bare = unwrapped(model)
        # Gradients are averaged over the ranks here, before they are aggregated.
        alone: Any = nullcontext() if bare is model else model.no_sync()  # type: ignore[operator]
        cut = self.on == FEATURES
        with super().optim_context(bare), alone, watched(bare, cut) as self._pass:
            yield
        if self._pass.task is not None:
            self._begin_task_step(self._pass.task)

    def _begin_task_step(self, task: str) -> None:
        if self.on == FEATURES:
            raise ValueError(
                "optim_wrapper.on='features': in round-robin training every task has features of "
                "its own images; use on='backbone' or a list of modules, or joint training"
            )
        if task != self.tasks[self._turn]:
            raise ValueError(
                f'{type(self).__name__} aggregates the task gradients of a major iteration, whose '
                f"task steps are {self.tasks}; that of '{task}' came in place of "
                f"'{self.tasks[self._turn]}'"
            )
        if self._counts_task_steps:
            # The loop counts task steps; an update needs a major iteration.
            self._counts_task_steps = False
            self._inner_count //= len(self.tasks)
            self._max_counts //= len(self.tasks)
            self._remainder_counts = self._max_counts % self._accumulative_counts

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate each task, and aggregate where an update is due.

        Args:
            loss: The loss of the step.
            **kwargs: Unused; the graph is freed.

        Raises:
            ValueError: If there was no forward pass to show the task losses, part of it is under
                activation checkpointing, or the aggregator refuses the task gradients.
        """
        seen, self._pass = self._pass, ForwardPass()
        joint = seen.task is None
        losses = seen.losses if seen.task is None else {seen.task: loss}
        if not losses:
            raise ValueError(
                f'{type(self).__name__}: no task losses; a forward pass for training, within '
                f'optim_context, has to come before update_params'
            )
        self._check_graph(seen.task, loss)
        rest = trained(self.roles.rest)
        # What the loss of the step makes of the task losses, by the chain rule.
        found = _gradients(self._scaled(loss), [*losses.values(), *rest], None, True)
        add_gradients(rest, found[len(losses) :])
        jacobian = self._rows(seen)
        left = len(losses)
        for (task, value), factor in zip(losses.items(), found, strict=False):
            left -= 1
            if factor is None:
                continue  # the weighting leaves this task out
            own = trained(self.roles.own[task])
            parts = _gradients(value, [*own, *jacobian.tensors], factor, left > 0)
            add_gradients(own, parts[: len(own)])
            jacobian.add(task, parts[len(own) :])
        if self.on == FEATURES:
            self._back_through_backbone(seen, jacobian)
        if not joint:
            self._turn = (self._turn + 1) % len(self.tasks)
        if self._turn == 0:
            self._inner_count += 1
        if self.should_update():
            self._finish_gradients()

    def should_update(self) -> bool:
        """Whether an update is due: not within a major iteration."""
        return self._turn == 0 and super().should_update()

    def _check_graph(self, task: str | None, loss: Tensor) -> None:
        """Look for hidden parameters in the first step of each kind."""
        if task not in self._checked and is_checkpointed(loss):
            raise ValueError(
                f'{type(self).__name__} asks for the gradients of single tasks, which reentrant '
                f'activation checkpointing does not give; set with_cp=False (or the like) in the '
                f'model'
            )
        self._checked.add(task)

    def _rows(self, seen: ForwardPass) -> TaskJacobian:
        """The matrix that the task gradients of this pass are added to."""
        # Each loss counts 1/T in the joint loss.
        factor = len(self.tasks) if seen.task is None else 1
        if self.on == FEATURES:
            if len(seen.features) != 1:
                raise ValueError(
                    f"optim_wrapper.on='features': the backbone ran {len(seen.features)} times in "
                    f"a step, so the tasks do not share its features; use on='backbone'"
                )
            leaves = [leaf for leaf in seen.leaves[0] if leaf.requires_grad]
            return TaskJacobian(leaves, self.tasks, factor)
        if self._jacobian is None:
            self._jacobian = TaskJacobian(trained(self.roles.shared), self.tasks, factor)
        return self._jacobian

    def _back_through_backbone(self, seen: ForwardPass, jacobian: TaskJacobian) -> None:
        """Aggregate on the features, whose joined batch is shared out among the ranks."""
        jacobian.share_given()
        ranks = get_world_size()
        # The mean over the ranks is the gradient of the joined batch.
        jacobian.factor /= ranks
        vector = aggregate(self.aggregator, jacobian, self._scale(), apart=True)
        parts = jacobian.split(vector * ranks)
        features = [feature for feature in seen.features[0] if feature.requires_grad]
        pairs = zip(features, parts, jacobian.used, strict=True)
        used = [(feature, part) for feature, part, used in pairs if used]
        if used:
            torch.autograd.backward([one for one, _ in used], [part for _, part in used])

    def _finish_gradients(self) -> None:
        """What the optimizer needs in ``grad``: of all ranks, and aggregated."""
        jacobian, self._jacobian = self._jacobian, None
        plain = [*self.roles.rest, *(p for own in self.roles.own.values() for p in own)]
        if jacobian is None:
            plain += self.roles.shared
        average_gradients(trained(list(dict.fromkeys(plain))))
        if jacobian is None:
            return
        jacobian.average()
        parts = jacobian.split(aggregate(self.aggregator, jacobian, self._scale()))
        for param, gradient, used in zip(jacobian.tensors, parts, jacobian.used, strict=True):
            if used:
                param.grad = gradient

    def _scaled(self, loss: Tensor) -> Tensor:
        """The loss times the loss scale."""
        return loss

    def _scale(self) -> float:
        """The loss scale."""
        return 1.0

    def state_dict(self) -> dict:
        """What mmengine saves, and the state of the aggregator."""
        return dict(super().state_dict(), aggregator=aggregator_state(self.aggregator))

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict`, or another wrapper's, returned.

        Raises:
            ValueError: If it has the state of another aggregator.
        """
        state = dict(state_dict)
        aggregator = state.pop('aggregator', None)
        super().load_state_dict(state)
        if aggregator is not None:
            load_aggregator_state(self.aggregator, aggregator, self._like)


def _gradients(
    value: Tensor, inputs: Sequence[Tensor], factor: Tensor | None, retain: bool
) -> Sequence[Tensor | None]:
    """Gradients of ``factor * value``; None for inputs that it does not depend on."""
    if not inputs or not value.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(value, inputs, factor, retain_graph=retain, allow_unused=True)
