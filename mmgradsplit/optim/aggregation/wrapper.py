"""Task gradients become one gradient by an aggregator."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmgradsplit.optim.gradients import add_gradients, average_gradients, loss_scale, trained
from mmgradsplit.optim.torchjd_state import load_torchjd_state, torchjd_state
from mmgradsplit.optim.weightings import Weighting
from mmgradsplit.optim.wrapper import JOINT, MultiTaskOptimWrapper
from mmgradsplit.registry import OPTIM_WRAPPERS
from mmgradsplit.utils import hides_parameters, unwrapped
from mmgradsplit.utils.mmengine_private import count_backward

from .aggregators import KEY, build_aggregator, check_for_features
from .combination import Combination
from .gradient_sums import GradientAggregate
from .heads import MEAN, WEIGHTED, HeadGradients
from .parameter_roles import BACKBONE, FEATURES, ParameterRoles
from .rows_of_step import FeatureRows, WholeLossRows
from .task_jacobian import any_matrix


@OPTIM_WRAPPERS.register_module()
class AggregatorOptimWrapper(MultiTaskOptimWrapper):
    """An aggregator makes one gradient out of the task gradients on the shared backbone.

    One update of the whole model for each sub-step of joint training, from one forward pass, or for
    each major iteration of round-robin training.

    - The row of task t is the gradient of its own weighted loss: ``lambda_t l_t`` with uniform
      weighting. A weighting whose loss L is the sum of these (``Weighting.sums``: uncertainty
      weighting, IMTL-L, GradNorm, …) gives the rows ``dL/dl_t grad l_t``, whose sum is the gradient
      of L; with the others L is their mean, over the K tasks that a step serves, and the rows are
      ``K dL/dl_t grad l_t``. So ``torchjd.Sum``, or ``torchjd.Mean``, trains as without an
      aggregator. A task without a sample has no row.
    - A task's own parameters get the gradient that ``heads`` says, and learned weights of losses
      that which they get without an aggregator. What is aggregated by addition (``Sum``,
      ``PCGrad``, ``GradVac``, ``GradDrop``, ``ConFIG``) is up to T times as large as a mean, and so
      is its effective learning rate with SGD; ``mean`` divides it by T.
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
    - ``on='last_layer'``: the backbone's last layer with a matrix or kernel of weights, or the
      modules that are named, ``on=['layer4']`` (PCGrad in GradSplit's supplement, section D.2). The
      rest of the backbone gets the gradient of L, or with ``whole_loss`` the rows' sum with the
      weights that the aggregator has found there, in one more backward pass (IMTL-G in AMTL's
      supplement, section B.5).

    The weights that an aggregator gives to the tasks are logged as ``aggregator/<task>``.

    Args:
        bases: mmengine's wrapper of the one optimizer.
        model: The MultiTaskModel.
        weighting: How task losses become one loss.
        aggregator: See :func:`~mmgradsplit.optim.aggregation.aggregators.build_aggregator`.
        on: ``'backbone'``, ``'features'``, ``'last_layer'``, or a list of names of modules of the
            backbone, or patterns such as ``'layer[34]'``.
        whole_loss: Whether the weights that the aggregator finds on ``on`` multiply the whole
            losses, all that the tasks share in the backbone, rather than the rows alone. On the
            features, or on all of the backbone, this is the same. Joint training only; found in
            each step, also with gradient accumulation.
        normalise: See :class:`~mmgradsplit.optim.aggregation.combination.Combination`.
        heads: See :class:`~mmgradsplit.optim.aggregation.heads.HeadGradients`.
        mean: Whether the aggregate is divided by the number of tasks that have a row.

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
        whole_loss: bool = False,
        normalise: str | None = None,
        heads: str = MEAN,
        mean: bool = False,
    ) -> None:
        super().__init__(bases, model, weighting)
        self.on = on
        self.roles = ParameterRoles(model, on)
        # None where the rows are collected until an update is due.
        self.in_steps: FeatureRows | WholeLossRows | None = None
        if on == FEATURES:
            self.in_steps = FeatureRows()
        elif whole_loss and on != BACKBONE:
            self.in_steps = WholeLossRows(self.roles)
        self.heads = HeadGradients(self.roles.own, heads)
        # What gets the gradient of the loss that the weighting makes.
        self.plain = [*self.roles.rest, *weighting.parameters()]
        if not isinstance(self.in_steps, WholeLossRows):
            self.plain += self.roles.behind
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
        self.combination = Combination(self.aggregator, normalise, mean)
        if whole_loss:
            self.combination.check_weighted('optim_wrapper.whole_loss')
        if heads == WEIGHTED:
            self.combination.check_weighted("optim_wrapper.heads='weighted'")
        self.sums = GradientAggregate(self.roles.shared, self.tasks, self.combination, average=True)
        self._final = True
        self._checked: set[tuple[str, ...]] = set()

    @property
    def once(self) -> str:
        """The aggregator, which needs a gradient of each task."""
        return f'optim_wrapper.aggregator ({type(self.aggregator).__name__})'

    def updates(self, name: str, sub_steps: int) -> int:
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
        if cfg.get('whole_loss') and cfg.get('on', BACKBONE) != BACKBONE:
            return (
                f'optim_wrapper.whole_loss multiplies the losses of one step by weights, but a '
                f"step of round-robin training has one task, {JOINT}; or use on='backbone'"
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
        cut = self.in_steps.during(bare.backbone) if self.in_steps else nullcontext()
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
        plain = trained(self.plain)
        # What the total makes of the task losses, by the chain rule.
        scaled = self._scaled(self.base.scale_loss(total))
        found = _gradients(scaled, [*losses.values(), *plain], None, True)
        add_gradients(plain, found[len(losses) :])
        # A weighting may leave a task out.
        pairs = zip(losses, found, strict=False)
        factors = {task: factor for task, factor in pairs if factor is not None}
        averages = not self.task_steps and not self.weighting.sums
        self.sums.factor = len(self.tasks) if averages else 1
        rows = self.in_steps
        jacobian = rows.matrix(self.tasks, self.sums.factor) if rows else None
        targets = trained(self.roles.shared) if jacobian is None else jacobian.tensors
        own = {task: trained(self.roles.own[task]) for task in factors}
        own_found = {}
        left = len(factors)
        for task, factor in factors.items():
            left -= 1
            retain = left > 0 or (rows is not None and rows.retains)
            parts = _gradients(losses[task], [*own[task], *targets], factor, retain)
            own_found[task] = parts[: len(own[task])]
            row, loss = parts[len(own[task]) :], self._loss_of_row(losses[task], factor)
            if jacobian is not None:
                jacobian.add(task, row, loss)
            else:
                of = {p: g for p, g in zip(targets, row, strict=True) if g is not None}
                self.sums.add(task, of, loss)  # type: ignore[arg-type]
        weights = None
        if rows is not None and jacobian is not None:
            scale = loss_scale(self.base)
            weights = rows.back(jacobian, self.combination, scale, losses, factors)
        self.heads.add(own_found, own, self.sums.factor, weights)
        if self._final:
            count_backward(self.base)
            if self.base.should_update():
                self._finish_gradients()
                self.base.step()
                self.base.zero_grad()
        return self.logs(total)

    def _check_graph(self, tasks: tuple[str, ...], loss: Tensor) -> None:
        """Look for hidden parameters in the first step of each kind."""
        if tasks not in self._checked and hides_parameters(loss):
            raise ValueError(
                f'{type(self).__name__} asks for the gradients of single tasks, which reentrant '
                f'activation checkpointing does not give; set with_cp=False (or the like) in the '
                f'model'
            )
        self._checked.add(tasks)

    def _loss_of_row(self, loss: Tensor, factor: Tensor) -> float:
        """The weighted loss that a task's row is the gradient of, where it is asked for."""
        if self.combination.normalise is None:
            return 0.0
        return float(loss.detach()) * float(factor) * self.sums.factor / loss_scale(self.base)

    def _finish_gradients(self) -> None:
        """What the optimizer needs in ``grad``: of all ranks, and aggregated."""
        plain = [*self.plain, *(p for own in self.roles.own.values() for p in own)]
        if self.in_steps:
            plain += [*self.roles.shared, *self.roles.behind]
        average_gradients(trained(list(dict.fromkeys(plain))))
        for param, gradient in self.sums.take(lambda: loss_scale(self.base)).items():
            param.grad = gradient
        if not self.in_steps:
            self.heads.weigh(self.sums.weights)

    def _scaled(self, loss: Tensor) -> Tensor:
        """The loss times the loss scale."""
        scaler = getattr(self.base, 'loss_scaler', None)
        return loss if scaler is None else scaler.scale(loss)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return dict(super().state_dict(), aggregator=torchjd_state(self.aggregator))

    def waiting(self, names: Mapping[nn.Parameter, str]) -> dict[str, Any]:
        """What waits for an update: the rows, too."""
        return {**super().waiting(names), 'sums': self.sums.state(names)}

    def load_waiting(self, waiting: Mapping[str, Any], params: Mapping[str, nn.Parameter]) -> None:
        """Take up what :meth:`waiting` returned."""
        super().load_waiting(waiting, params)
        self.sums.load_state(waiting['sums'], params)

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
