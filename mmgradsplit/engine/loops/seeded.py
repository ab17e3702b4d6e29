"""What the training loops share: positions, seeds, checks, and what the method is told."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import seed_all, unwrapped

from .batches import with_own_samples
from .dataloaders import RoundRobinDataLoader
from .method import method_of
from .rehearsal import rehearse_validation
from .step_logs import StepLogs

# What the log of a run, and so its checkpoints, know of it by these names.
LENGTH, VALIDATED = 'epoch_length', 'validated_at'


class TaskStepError(ValueError):
    """A task step ended in an error; the message names the task and the files of its batch."""


class Description(NamedTuple):
    """What messages say of a step, which holds no tensor of its batch.

    Attributes:
        name: Of the step.
        iteration: Iterations done before.
        files: Of the batch.
    """

    name: str
    iteration: int
    files: list[str]

    def sentence(self, what: str) -> str:
        """What went wrong in the step, with its name, the iteration and the files."""
        return (
            f"task '{self.name}', iteration {self.iteration}: {what}. Files of the batch: "
            f'{self.files}.'
        )


class Step(NamedTuple):
    """One step of an iteration.

    Attributes:
        name: What it is called in messages; its random numbers follow from it.
        batch: The batch for ``model.train_step``.
        tasks: The tasks that have a sample in it, on any rank.
        final: Whether it is the last step of a major iteration, or of a sub-step.
    """

    name: str
    batch: dict[str, Any]
    tasks: Sequence[str]
    final: bool

    def described(self, iteration: int) -> Description:
        """What messages say of it.

        Args:
            iteration: Iterations done before.
        """
        samples = self.batch.get('data_samples', ())
        files = [str(getattr(sample, 'img_path', 'unknown')) for sample in samples]
        return Description(self.name, iteration, files)


class SeededTrainLoop(EpochBasedTrainLoop):
    """Epochs of iterations that consist of several steps, each with seeds of its own.

    Order and augmentation of the data, and the generators of each step, depend on the seed and the
    position alone, so a resumed run continues as if it had not stopped.

    It tells the method what it asks for: where training stands, which tasks a step is of, that an
    epoch has ended, the metrics of a validation, and the losses after an update. An epoch's
    checkpoint is written before its validation. Where the method, a scheduler or the best
    checkpoint follows the validation, a run that is resumed from such a one begins with it.

    Args:
        runner: mmengine's runner.
        dataloader: Batches of the streams.
        tasks: Names of the tasks.
        sub_steps: Sub-steps of an iteration.
        task_steps: Task steps of each task in an iteration; empty where a step serves all tasks.
        **kwargs: As in mmengine's ``EpochBasedTrainLoop``.

    Attributes:
        metrics: Those of the latest validation of the training, and the iterations done by then.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: RoundRobinDataLoader,
        tasks: Sequence[str],
        sub_steps: int,
        task_steps: Mapping[str, int],
        **kwargs: Any,
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        self.tasks = list(tasks)
        self.sub_steps, self.task_steps = sub_steps, dict(task_steps)
        self.metrics: tuple[int, dict[str, float]] | None = None
        self._validating = False
        self._logs = StepLogs()
        runner.register_hook(_Validated(self))

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[Step]:
        """The steps of an iteration.

        Args:
            data_batch: The batch of each stream.
        """
        raise NotImplementedError

    def begin(self) -> None:
        """Tell the method where training stands, and find what it cannot be given.

        Raises:
            ValueError: If the method does not go with this training.
        """
        self._check_epoch_length()
        self.method = method_of(self.runner.optim_wrapper, self.tasks)
        if 'metrics' in self.method.needs:
            self._check_validation()
        self.method.begin_training(
            self.runner.model, self._iter, self._max_iters, self.sub_steps, self.task_steps
        )

    def _check_epoch_length(self) -> None:
        """Epochs of another length than those that were counted would end at other iterations."""
        hub, length = self.runner.message_hub, len(self.dataloader)
        before = hub.runtime_info.get(LENGTH, length) if self._iter else length
        if before != length or not 0 <= self._iter - self._epoch * length <= length:
            raise ValueError(
                f'train_cfg.iters_per_epoch={length} does not fit the checkpoint, which stands at '
                f'epoch {self._epoch}, iteration {self._iter}; resume with the value it was made '
                f'with, or start from its weights with load_from'
            )
        hub.update_info(LENGTH, length)

    def _check_validation(self) -> None:
        name = f'optim_wrapper.weighting ({self.method.weighting})'
        if self.runner.val_loop is None:
            raise ValueError(
                f'{name} follows the accuracies of the validation, but there is none: set val_cfg, '
                f'val_dataloader and val_evaluator'
            )
        if self.val_begin > self.max_epochs:
            raise ValueError(
                f'{name} follows the accuracies of the validation, but train_cfg.val_begin='
                f'{self.val_begin} is after the last of {self.max_epochs} epochs: set '
                f'train_cfg.val_begin=1 and val_interval=1'
            )

    def run(self) -> nn.Module:
        """Train, from the current iteration on.

        Raises:
            ValueError: If the method does not go with this training, or a checkpoint stands at
                another epoch length.
        """
        self.begin()
        try:
            self.dataloader.seek(self._iter, self.runner.seed)
            self.rehearse()
            self.runner.call_hook('before_train')
            rehearse_validation(self.runner)
            self._make_up_for_validation()
            while self._epoch < self._max_epochs and not self.stop_training:
                self.run_epoch()
                if self._validation_is_due(self._epoch == self._max_epochs):
                    self.validate()
            self.runner.call_hook('after_train')
            return self.runner.model
        finally:
            self.dataloader.close()

    def rehearse(self) -> None:
        """Compute the losses of the first samples, to find what a step would fail at."""
        raise NotImplementedError

    def validate(self) -> None:
        """Validate the network as it stands, and tell the method."""
        self._validating = True
        try:
            found = self.runner.val_loop.run()
            self.validated(found)  # a loop of one's own may call no hooks
        finally:
            self._validating = False

    def validated(self, metrics: Mapping[str, float]) -> None:
        """Take note of the metrics of a validation, where it is one of the training.

        Args:
            metrics: By name.
        """
        if self._validating:
            self._validating = False  # once for each validation
            self.metrics = (self._iter, dict(metrics))
            self.method.validated(metrics, self._iter)
            self.runner.message_hub.update_info(VALIDATED, self._iter)

    def _validation_is_due(self, last: bool = False) -> bool:
        """Whether the validation of the epochs done so far is due."""
        if self.runner.val_loop is None or self._epoch < self.val_begin:
            return False
        place = bisect.bisect(self.dynamic_milestones, self._epoch + 1) - 1
        self.val_interval = self.dynamic_intervals[place]
        return last or self._epoch % self.val_interval == 0

    def _make_up_for_validation(self) -> None:
        """Validate first, where a checkpoint is from before a validation that something follows."""
        if self._iter == 0 or not self._validation_is_followed():
            return
        ended = self._iter == self._epoch * len(self.dataloader)
        done = self.runner.message_hub.runtime_info.get(VALIDATED, self.method.validated_at)
        last = self._epoch == self._max_epochs
        if ended and self._validation_is_due(last) and done < self._iter:
            self.runner.logger.info(
                f'The checkpoint is from before the validation of epoch {self._epoch}: '
                f'validating ...'
            )
            self.validate()

    def _validation_is_followed(self) -> bool:
        """Whether a validation changes what comes after it, or which checkpoint is kept."""
        schedulers = self.runner.param_schedulers or []
        if isinstance(schedulers, Mapping):
            schedulers = [each for of in schedulers.values() for each in of]
        return (
            'metrics' in self.method.needs
            or any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers)
            or any(getattr(hook, 'save_best', None) for hook in self.runner.hooks)
        )

    def run_epoch(self) -> None:
        """Run the epoch's iterations, from the current one on."""
        length = len(self.dataloader)
        done = self._iter - self._epoch * length
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.dataloader.seek(self._iter, self.runner.seed)
        # A checkpoint of the last iteration leaves no batch, but the end of the epoch, to be run.
        for idx, data_batch in zip(range(done, length), self.dataloader, strict=False):
            self.run_iter(idx, data_batch)
        # Before the epoch's checkpoint is written.
        self.method.end_epoch()
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Mapping[str, Any]) -> None:
        """Run one iteration.

        Args:
            idx: Number of the iteration in its epoch.
            data_batch: The batch of each stream.

        Raises:
            FloatingPointError: If a loss is not finite, naming step, iteration and files.
            TaskStepError: If a step ends in an error, naming them as well.
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        self._logs = StepLogs()
        try:
            for step in self.steps(data_batch):
                self._take(step)
        except Exception:
            with suppress(RuntimeError):  # of a GPU that has failed, and can be read no more
                self._read_logs()  # a loss before that was not finite explains the error
            raise
        self.dataloader.look_ahead()
        outputs = self._read_logs()
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def _take(self, step: Step) -> None:
        """Take a step, and compute its losses anew where the method asks for them."""
        wrapper: Any = self.runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict) and wrapper is not self.method:
            (task,) = step.tasks  # mmengine's wrappers by task
            wrapper = wrapper[task]
        again = with_own_samples(step.batch) if 'losses' in self.method.needs else None
        self.method.begin_step(step.tasks, step.final)
        seed = derive_seed(self.runner.seed, get_rank(), self._iter, step.name)
        seed_all(seed)
        try:
            log_vars = self.runner.model.train_step(step.batch, optim_wrapper=wrapper)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            said = step.described(self._iter).sentence(f'{type(error).__name__}: {error}')
            raise TaskStepError(said) from error
        self._logs.add(step.described(self._iter), log_vars)
        if again is not None:
            seed_all(seed)
            self._revise(again, wrapper)

    def _read_logs(self) -> dict[str, Any]:
        """What the steps taken so far log; the device is waited for here, and nowhere before."""
        outputs: dict[str, Any] = {}
        for step, logs in self._logs.read():
            self._check_finite(step, logs)
            outputs.update(logs)
        return outputs

    def _revise(self, batch: dict[str, Any], wrapper: OptimWrapper) -> None:
        """Hand the method the losses of a step's batch after the update."""
        model = self.runner.model
        with torch.no_grad(), wrapper.optim_context(model):
            losses = unwrapped(model).compute_losses(batch).losses
        self.method.revise(losses)

    @staticmethod
    def _check_finite(step: Description, log_vars: Mapping[str, Any]) -> None:
        bad = [
            key
            for key, value in log_vars.items()
            if 'loss' in key and not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if bad:
            said = step.sentence(f'{", ".join(bad)} is not finite')
            raise FloatingPointError(f'{said} Check these, or lower optim_wrapper.optimizer.lr.')


class _Validated(Hook):
    """Tells a loop the metrics of a validation, before the best checkpoint is written."""

    priority = 'LOW'

    def __init__(self, loop: SeededTrainLoop) -> None:
        self.loop = loop

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.loop.validated(metrics or {})
