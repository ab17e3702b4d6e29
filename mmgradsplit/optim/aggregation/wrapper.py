"""Task gradients become one gradient by an aggregator."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.optim.gradients import add_gradients, average_gradients, loss_scale, trained
from mmgradsplit.optim.torchjd_state import load_torchjd_state, torchjd_state
from mmgradsplit.optim.weightings import Weighting
from mmgradsplit.optim.wrapper import JOINT, MultiTaskOptimWrapper
from mmgradsplit.registry import OPTIM_WRAPPERS
from mmgradsplit.utils import unwrapped
from mmgradsplit.utils.mmengine_private import count_backward

from .aggregators import KEY, aggregate, build_aggregator, check_for_features
from .cut_features import CutFeatures, is_checkpointed
from .gradient_sums import GradientAggregate
from .parameter_roles import BACKBONE, FEATURES, ParameterRoles
from .task_jacobian import TaskJacobian, any_matrix


@OPTIM_WRAPPERS.register_module()
class AggregatorOptimWrapper(MultiTaskOptimWrapper):
    """An aggregator makes one gradient out of the task gradients on the shared backbone.

    One update of the whole model for each sub-step of joint training, from one forward pass, or for
    each major iteration of round-robin training.

    - The row of task t is the gradient of ``lambda_t l_t``: with any weighting L, of
      ``K dL/dl_t l_t`` for the K tasks that a step serves, so that in joint training the mean of
      the rows is the gradient of L, and ``torchjd.Mean`` trains as without an aggregator. A task
      without a sample has no row.
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

    The weights that an aggregator gives to the tasks are logged as ``aggregator/<task>``.

    Args:
        bases: mmengine's wrapper of the one optimizer.
        model: The MultiTaskModel.
        weighting: How task losses become one loss.
        aggregator: See :func:`~mmgradsplit.optim.aggregation.aggregators.build_aggregator`.
        on: ``'backbone'``, ``'features'``, ``'last_layer'``, or a list of names of modules of the
            backbone, or patterns such as ``'layer[34]'``.

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
        bases: Mapping[str, OptimWrapper],
        model: Any,
        weighting: Weighting,
        aggregator: Mapping[str, Any] | None = None,
        on: str | Sequence[str] = BACKBONE,
    ) -> None:
        super().__init__(bases, model, weighting)
        self.on = on
        self.roles = ParameterRoles(model, on)
        self.roles.rest.extend(weighting.parameters())
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
        self.sums = GradientAggregate(self.roles.shared, self.tasks, self.aggregator, average=True)
        self._features = CutFeatures()
        self._final = True
        self._checked: set[tuple[str, ...]] = set()

    def updates(self, sub_steps: int) -> int:
        """Updates of an iteration: one a sub-step, or one a major iteration."""
        return 1 if self.task_steps else sub_steps

    @classmethod
    def why_joint_only(cls, cfg: Mapping[str, Any]) -> str:
        """The tasks of round-robin training have features of different images."""
        if cfg.get('on') == FEATURES:
            return (
                f"optim_wrapper.on='features' aggregates on the features of the same images, but "
                f'in round-robin training every task has features of its own images, {JOINT}; or '
                f"use on='backbone' or a list of modules"
            )
        return super().why_joint_only(cfg)

    def begin_step(self, tasks: Sequence[str], final: bool) -> None:
        """Take note of whether the rows are aggregated after the next step."""
        self._final = final

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass: mmengine's (autocast), cutting the graph at features."""
        bare = unwrapped(model)
        # Gradients are averaged over the ranks here, before they are aggregated.
        alone: Any = nullcontext() if bare is model else model.no_sync()  # type: ignore[operator]
        self._features = CutFeatures()
        cut = self._features.of(bare.backbone) if self.on == FEATURES else nullcontext()
        with self.base.optim_context(bare), alone, cut:
            yield

    def update_tasks(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Back-propagate each task, and aggregate and update where an update is due.

        Args:
            losses: The loss of each task that is supervised in this step, a scalar each.

        Returns:
            What is logged.

        Raises:
            ValueError: If part of the graph is under activation checkpointing, or the aggregator
                refuses the task gradients.
        """
        total = self.weigh(losses)
        self._check_graph(tuple(losses), total)
        rest = trained(self.roles.rest)
        # What the total makes of the task losses, by the chain rule.
        scaled = self._scaled(self.base.scale_loss(total))
        found = _gradients(scaled, [*losses.values(), *rest], None, True)
        add_gradients(rest, found[len(losses) :])
        self.sums.factor = 1 if self.task_steps else len(self.tasks)
        jacobian = self._rows_on_features() if self.on == FEATURES else None
        targets = trained(self.roles.shared) if jacobian is None else jacobian.tensors
        left = len(losses)
        for (task, value), factor in zip(losses.items(), found, strict=False):
            left -= 1
            if factor is None:
                continue  # the weighting leaves this task out
            own = trained(self.roles.own[task])
            parts = _gradients(value, [*own, *targets], factor, left > 0)
            add_gradients(own, parts[: len(own)])
            row = parts[len(own) :]
            if jacobian is not None:
                jacobian.add(task, row)
            else:
                pairs = zip(targets, row, strict=True)
                self.sums.add(task, {p: g for p, g in pairs if g is not None})  # type: ignore[misc]
        if jacobian is not None:
            self._back_through_backbone(jacobian)
        if self._final:
            count_backward(self.base)
            if self.base.should_update():
                self._finish_gradients()
                self.base.step()
                self.base.zero_grad()
        return self.logs(total)

    def _check_graph(self, tasks: tuple[str, ...], loss: Tensor) -> None:
        """Look for hidden parameters in the first step of each kind."""
        if tasks not in self._checked and is_checkpointed(loss):
            raise ValueError(
                f'{type(self).__name__} asks for the gradients of single tasks, which reentrant '
                f'activation checkpointing does not give; set with_cp=False (or the like) in the '
                f'model'
            )
        self._checked.add(tasks)

    def _rows_on_features(self) -> TaskJacobian:
        """The matrix that the task gradients on the features of this pass are added to."""
        passes = len(self._features.leaves)
        if passes != 1:
            raise ValueError(
                f"optim_wrapper.on='features': the backbone ran {passes} times in a step, so the "
                f"tasks do not share its features; use on='backbone'"
            )
        leaves = [leaf for leaf in self._features.leaves[0] if leaf.requires_grad]
        return TaskJacobian(leaves, self.tasks, self.sums.factor)

    def _back_through_backbone(self, jacobian: TaskJacobian) -> None:
        """Aggregate on the features, whose joined batch is shared out among the ranks."""
        jacobian.share_given()
        ranks = get_world_size()
        # The mean over the ranks is the gradient of the joined batch.
        jacobian.factor /= ranks
        vector = aggregate(self.aggregator, jacobian, loss_scale(self.base), apart=True)
        parts = jacobian.split(vector * ranks)
        features = [feature for feature in self._features.features[0] if feature.requires_grad]
        pairs = zip(features, parts, jacobian.used, strict=True)
        used = [(feature, part) for feature, part, used in pairs if used]
        if used:
            torch.autograd.backward([one for one, _ in used], [part for _, part in used])

    def _finish_gradients(self) -> None:
        """What the optimizer needs in ``grad``: of all ranks, and aggregated."""
        plain = [*self.roles.rest, *(p for own in self.roles.own.values() for p in own)]
        if self.on == FEATURES:
            plain += self.roles.shared
        average_gradients(trained(list(dict.fromkeys(plain))))
        for param, gradient in self.sums.take(lambda: loss_scale(self.base)).items():
            param.grad = gradient

    def _scaled(self, loss: Tensor) -> Tensor:
        """The loss times the loss scale."""
        scaler = getattr(self.base, 'loss_scaler', None)
        return loss if scaler is None else scaler.scale(loss)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return dict(super().state_dict(), aggregator=torchjd_state(self.aggregator))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of another method.
        """
        super().load_state_dict(state_dict)
        load_aggregator(self.aggregator, state_dict, self._like)


def load_aggregator(aggregator: Any, state_dict: Mapping[str, Any], like: Tensor) -> None:
    """Load the state of an aggregator from that of a wrapper.

    Args:
        aggregator: The aggregator.
        state_dict: State of a wrapper that has one.
        like: Any matrix of task gradients, shape [T x P] for T tasks.

    Raises:
        ValueError: If it has the state of another aggregator, or of none.
    """
    state = state_dict.get('aggregator', dict(kind=None, values={}))
    load_torchjd_state(aggregator, state, like, lambda: aggregator(like), 'aggregator')


def _gradients(
    value: Tensor, inputs: Sequence[Tensor], factor: Tensor | None, retain: bool
) -> Sequence[Tensor | None]:
    """Gradients of ``factor * value``; None for inputs that it does not depend on."""
    if not inputs or not value.requires_grad:
        return [None] * len(inputs)
    return torch.autograd.grad(value, inputs, factor, retain_graph=retain, allow_unused=True)
