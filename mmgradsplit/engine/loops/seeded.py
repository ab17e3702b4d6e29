"""What the training loops share: positions, seeds, checks, and what the method is told."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import seed_all, unwrapped

from .batches import with_own_samples
from .dataloaders import RoundRobinDataLoader
from .method import method_of
from .step_logs import StepLogs


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

    def as_named(self) -> 'Step':
        """What messages need of it, without the tensors of its batch."""
        samples = self.batch.get('data_samples', ())
        paths = [getattr(sample, 'img_path', 'unknown') for sample in samples]
        named = [SimpleNamespace(img_path=path) for path in paths]
        return self._replace(batch=dict(data_samples=named))


class SeededTrainLoop(EpochBasedTrainLoop):
    """Epochs of iterations that consist of several steps, each with seeds of its own.

    Order and augmentation of the data, and the generators of each step, depend on the seed and the
    position alone, so a resumed run continues as if it had not stopped.

    It tells the method what it asks for: where training stands, which tasks a step is of, that an
    epoch has ended, the metrics of a validation, and the losses after an update. An epoch's
    checkpoint is written before its validation; a run that is resumed from one whose method follows
    the validation begins with that validation.

    Args:
        runner: mmengine's runner.
        dataloader: Batches of the streams.
        tasks: Names of the tasks.
        sub_steps: Sub-steps of an iteration.
        task_steps: Whether each step is of one task.
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
        task_steps: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(runner, dataloader, **kwargs)
        self.tasks = list(tasks)
        self.sub_steps, self.task_steps = sub_steps, task_steps
        self.metrics: tuple[int, dict[str, float]] | None = None
        self._logs = StepLogs()

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
        self.method = method_of(self.runner.optim_wrapper, self.tasks)
        if 'metrics' in self.method.needs:
            self._check_validation()
        self.method.begin_training(
            self.runner.model, self._iter, self._max_iters, self.sub_steps, self.task_steps
        )

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
            self.runner.call_hook('before_train')
            self._make_up_for_validation()
            while self._epoch < self._max_epochs and not self.stop_training:
                self.run_epoch()
                if self._validation_is_due(self._epoch == self._max_epochs):
                    self.validate()
            self.runner.call_hook('after_train')
            return self.runner.model
        finally:
            self.dataloader.close()

    def validate(self) -> None:
        """Validate the network as it stands, and tell the method."""
        found = self.runner.val_loop.run()
        self.metrics = (self._iter, found)
        self.method.validated(found, self._iter)

    def _validation_is_due(self, last: bool = False) -> bool:
        """Whether the validation of the epochs done so far is due."""
        if self.runner.val_loop is None or self._epoch < self.val_begin:
            return False
        place = bisect.bisect(self.dynamic_milestones, self._epoch + 1) - 1
        self.val_interval = self.dynamic_intervals[place]
        return last or self._epoch % self.val_interval == 0

    def _make_up_for_validation(self) -> None:
        """Validate first, where a checkpoint was written before its epoch's validation."""
        if 'metrics' not in self.method.needs or self._iter == 0:
            return
        ended = self._iter == self._epoch * len(self.dataloader)
        if ended and self._validation_is_due() and self.method.validated_at < self._iter:
            self.runner.logger.info(
                f'The checkpoint is from before the validation of epoch {self._epoch}, which '
                f'optim_wrapper.weighting ({self.method.weighting}) follows: validating ...'
            )
            self.validate()

    def run_epoch(self) -> None:
        """Run the epoch's iterations, from the current one on."""
        length = len(self.dataloader)
        done = self._iter - self._epoch * length
        if not 0 <= done <= length:
            raise ValueError(
                f'train_cfg.iters_per_epoch={length} does not fit the checkpoint, which stands at '
                f'epoch {self._epoch}, iteration {self._iter}; resume with the value it was made '
                f'with, or start from its weights with load_from'
            )
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
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        self._logs = StepLogs()
        try:
            for step in self.steps(data_batch):
                self._take(step)
        except Exception:
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
        log_vars = self.runner.model.train_step(step.batch, optim_wrapper=wrapper)
        self._logs.add(step.as_named(), log_vars)
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

    def _check_finite(self, step: Step, log_vars: Mapping) -> None:
        bad = [
            key
            for key, value in log_vars.items()
            if 'loss' in key and not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if bad:
            raise FloatingPointError(
                f"task '{step.name}', iteration {self._iter}: {', '.join(bad)} is not finite. "
                f'Files of the batch: {_files(step.batch.get("data_samples", ()))}. Check these, '
                f'or lower optim_wrapper.optimizer.lr.'
            )


def _files(data_samples: Sequence) -> list[str]:
    return [str(getattr(sample, 'img_path', 'unknown')) for sample in data_samples]
