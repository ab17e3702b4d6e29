"""The update of a network from its task losses: the whole method, in one object."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from mmgradsplit.registry import OPTIM_WRAPPERS

from .gradients import average_gradients, trained
from .weightings import Weighting, weighting_needs

SHARED = 'shared'
JOINT = 'so it needs joint training (train_cfg.type JointTrainLoop)'


@OPTIM_WRAPPERS.register_module()
class MultiTaskOptimWrapper(OptimWrapperDict):
    """Makes one loss of the task losses by a weighting, back-propagates it and updates.

    The model computes task losses and hands them to :meth:`update_tasks`; nothing else passes
    between the two. What else a method needs to know, the training loop tells it: where training
    stands (:meth:`begin_training`), which tasks the next step is of (:meth:`begin_step`), that an
    epoch has ended (:meth:`end_epoch`), what a validation measured (:meth:`validated`), and the
    losses after an update (:meth:`revise`). Precision, loss scale, accumulation and clipping are
    those of mmengine's wrappers, which it composes.

    Built by :class:`~mmgradsplit.optim.MultiTaskOptimWrapperConstructor` from::

        optim_wrapper = dict(
            type='MultiTaskOptimWrapper',
            optimizer=dict(type='Adam', lr=1e-4),
            weighting=dict(type='torchjd.UW'),
            base=dict(type='AmpOptimWrapper'),
            accumulative_counts=2,
            clip_grad=dict(max_norm=35))

    As an ``OptimWrapperDict`` it shows mmengine its optimizers: a single one, or one by the name of
    each task.

    Args:
        bases: mmengine's wrapper of each optimizer.
        model: The model whose task losses it gets.
        weighting: How task losses become one loss.

    Attributes:
        by_task: Whether it wants a step, with a forward pass of its own, for each task.
        constructor: Registered name of what builds it.
        config_keys: Keys of its config that its constructor, rather than itself, takes.
        joint_only: Why it needs joint training, in words; empty if it does not.
    """

    by_task = False
    constructor = 'mmgradsplit.MultiTaskOptimWrapperConstructor'
    config_keys: tuple[str, ...] = ()
    joint_only = ''

    def __init__(self, bases: Mapping[str, OptimWrapper], model: Any, weighting: Weighting) -> None:
        super().__init__(**bases)
        self.tasks = list(model.tasks)
        self.weighting = weighting
        self.repeats: dict[str, int] = {}
        self._resumed: dict[str, int] = {}

    @classmethod
    def why_joint_only(cls, cfg: Mapping[str, Any]) -> str:
        """Why a config of this wrapper needs joint training, in words; empty if it does not.

        Args:
            cfg: ``optim_wrapper`` of a config.
        """
        if 'losses' in weighting_needs(cfg.get('weighting')):
            return (
                f'the weighting {cfg["weighting"]["type"]} compares the losses of all tasks before '
                f'and after one update, {JOINT}'
            )
        return ''

    @property
    def base(self) -> OptimWrapper:
        """Mmengine's wrapper of the optimizer that all tasks share."""
        return self.optim_wrappers[SHARED]

    @property
    def task_steps(self) -> bool:
        """Whether each step is of one task, as in round-robin training."""
        return self.weighting.task_steps

    @property
    def needs(self) -> frozenset[str]:
        """What the loop has to tell beside the steps: ``'metrics'``, ``'losses'``, or nothing."""
        return self.weighting.needs

    def counters(self) -> dict[str, OptimWrapper]:
        """Mmengine's wrappers that count backward passes, by name."""
        return dict(self.optim_wrappers)

    @property
    def once(self) -> str:
        """What makes one update from one step of each task, in words; empty if nothing does."""
        return ''

    def updates(self, name: str, sub_steps: int) -> int:
        """Backward passes that one of :meth:`counters` counts in an iteration.

        Args:
            name: Name of the counter.
            sub_steps: Sub-steps of an iteration.
        """
        return sum(self.repeats.values()) if self.task_steps else sub_steps

    def begin_training(
        self,
        model: nn.Module,
        done: int,
        total: int,
        sub_steps: int,
        task_steps: Mapping[str, int],
    ) -> None:
        """Take note of where training stands; the loop calls it before its first iteration.

        Args:
            model: The network, in DistributedDataParallel where there are several processes.
            done: Iterations done before.
            total: Iterations in all.
            sub_steps: Sub-steps of an iteration: those of ISTA; 1 otherwise.
            task_steps: Task steps of each task in an iteration of round-robin training; empty in
                joint training, where a step serves several tasks.

        Raises:
            ValueError: If the method does not go with this kind of training.
        """
        if task_steps and self.joint_only:
            raise ValueError(f'optim_wrapper: {self.joint_only}')
        if self.by_task and 'losses' in self.needs:
            raise ValueError(
                f'optim_wrapper.weighting ({self.weighting}) compares the losses of all tasks '
                f'before and after one update, but a relation mask lets each task have its own; '
                f'take another weighting'
            )
        self.repeats = dict(task_steps)
        several = {task: number for task, number in self.repeats.items() if number > 1}
        if several and self.once:
            task, number = next(iter(several.items()))
            raise ValueError(
                f'{self.once} makes one update of one step of each task, but train_dataloader.'
                f'{task}.repeat is {number}; leave repeat out and raise train_dataloader.{task}.'
                f'batch_size, or take a method that updates after every task step'
            )
        self.weighting.task_steps = bool(task_steps)
        for name, wrapper in self.counters().items():
            number = self.updates(name, sub_steps)
            before = self._resumed.get(name, done * number)
            wrapper.initialize_count_status(model, before, total * number)
        self._resumed = {}

    def begin_step(self, tasks: Sequence[str], final: bool) -> None:
        """Take note of what the next step is; the loop calls it before each.

        Args:
            tasks: The tasks that have a sample in it.
            final: Whether it is the last step of a major iteration, or of a sub-step.
        """

    def end_epoch(self) -> None:
        """Take note that an epoch of training has ended."""
        self.weighting.end_epoch()

    def validated(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Take the metrics of a validation.

        Args:
            metrics: Metrics by ``task/metric``.
            iteration: Iterations of training done so far.
        """
        self.weighting.update(metrics, iteration)

    @property
    def validated_at(self) -> int:
        """Iterations that were done at the latest validation that it was told of; -1 before."""
        return self.weighting.validated_at

    def revise(self, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of the latest step's batch, computed anew after the update.

        Args:
            losses: The loss of each task that has a sample, a scalar each.
        """
        self.weighting.revise(in_single_precision(losses))

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context for the forward pass: that of mmengine's wrapper, such as autocast."""
        with self.base.optim_context(model):
            yield

    def update_tasks(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Make the update of a step.

        Args:
            losses: The loss of each task that is supervised in this step, a scalar each: the mean
                over the samples of all ranks. Half precision becomes single precision.

        Returns:
            What is logged: ``loss`` in joint training, and ``weight/<task>`` where weights change.
        """
        total = self.weigh(losses)
        self.back_propagate(total)
        return self.logs(total)

    def back_propagate(self, loss: Tensor) -> None:
        """Back-propagate a loss and, where one is due, update by the one optimizer."""
        base = self.base
        base.backward(base.scale_loss(loss))
        if base.should_update():
            # The network's gradients, DistributedDataParallel has averaged.
            average_gradients(trained(self.weighting.parameters()))
            base.step()
            base.zero_grad()

    def weigh(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What the weighting makes of the task losses, in single precision or better."""
        device = next(iter(losses.values())).device.type
        with torch.autocast(device, enabled=False):
            return self.weighting(in_single_precision(losses))

    def logs(self, total: Tensor) -> dict[str, Tensor]:
        """What is logged of a step."""
        joint = {} if self.task_steps else {'loss': total.detach()}
        return {**joint, **self.weighting.logs()}

    def update_params(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a loss that somebody else has made of the task losses.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f'{type(self).__name__} makes the update of task losses (update_tasks), not of one '
            f'loss; the model must be a MultiTaskModel or STAMaskRCNN, model_wrapper_cfg.type '
            f"'MultiTaskDistributedDataParallel', and train_cfg.type a loop of mmgradsplit"
        )

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates; by the optimizer's name where there are several."""
        return self.base.get_lr() if list(self.optim_wrappers) == [SHARED] else super().get_lr()

    def get_momentum(self) -> dict[str, list[float]]:
        """Momenta; by the optimizer's name where there are several."""
        alone = list(self.optim_wrappers) == [SHARED]
        return self.base.get_momentum() if alone else super().get_momentum()

    @property
    def method(self) -> str:
        """What it is, for messages and checkpoints."""
        return f'{type(self).__name__} with {self.weighting}'

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: tasks, optimizers, counts, and the weighting."""
        return dict(
            method=self.method,
            tasks=self.tasks,
            optimizers=super().state_dict(),
            counts={name: wrapper.inner_count for name, wrapper in self.counters().items()},
            weighting=self.weighting.state_dict(),
        )

    def waiting(self, names: Mapping[nn.Parameter, str]) -> dict[str, Any]:
        """What waits for an update, under accumulation, beside ``grad`` of the network.

        Args:
            names: Of the network's parameters.
        """
        grads = {name: param.grad for name, param in self.weighting.named_parameters()}
        return {'weighting': {name: grad for name, grad in grads.items() if grad is not None}}

    def load_waiting(self, waiting: Mapping[str, Any], params: Mapping[str, nn.Parameter]) -> None:
        """Take up what :meth:`waiting` returned.

        Args:
            waiting: That.
            params: The network's parameters by name.
        """
        learned = dict(self.weighting.named_parameters())
        for name, grad in waiting['weighting'].items():
            learned[name].grad = grad.to(learned[name])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of another method, of other tasks, optimizers or parameters.
        """
        method = state_dict.get('method', "mmengine's OptimWrapper")
        if method != self.method:
            raise ValueError(
                f'the checkpoint has the state of {method}, but this config has {self.method}; '
                f'resume with the optim_wrapper that wrote it, or start from its weights with '
                f'load_from'
            )
        tasks, optimizers = state_dict['tasks'], state_dict['optimizers']
        if tasks != self.tasks:
            raise ValueError(
                f'the checkpoint has the tasks {tasks}, whose order is that of the filter groups, '
                f'but this config has {self.tasks}; resume with the config that wrote it'
            )
        if set(optimizers) != set(self.optim_wrappers):
            raise ValueError(
                f'the checkpoint has optimizers {sorted(optimizers)}, but this config has '
                f'{sorted(self.optim_wrappers)}; resume with the optim_wrapper that wrote it'
            )
        try:
            super().load_state_dict(optimizers)
        except ValueError as error:  # torch's, of parameter groups
            raise ValueError(
                f'the checkpoint has the state of optimizers of other parameters: {error}; resume '
                f'with the config that wrote it, or start from its weights with load_from'
            ) from error
        self.weighting.load_state_dict(state_dict['weighting'])
        self._resumed = dict(state_dict['counts'])


def in_single_precision(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Losses in single precision, or in their own where it is better.

    A weighting computes logarithms, powers and quotients, which half precision has no room for.
    """
    return {
        task: loss.to(torch.promote_types(loss.dtype, torch.float32))
        for task, loss in losses.items()
    }
