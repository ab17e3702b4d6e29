"""Round-robin training over a data set for each task. May import torch, mmengine."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmgradsplit.functional import derive_seed
from mmgradsplit.registry import LOOPS

from .dataloaders import RoundRobinDataLoader, build_dataloaders
from .streams import seed_all


@LOOPS.register_module()
class RoundRobinTrainLoop(EpochBasedTrainLoop):
    """Trains by major iterations: one task step of every task, in turn (section 3.2).

    One major iteration is one ``iter`` for hooks and schedulers. Losses are logged as
    ``task/loss``. Order and augmentation of the data, and the generators of each task step, depend
    on the seed and the position alone, so a resumed run continues as if it had not stopped.

    Args:
        runner: mmengine's runner.
        dataloader: Mapping from task to its dataloader config.
        max_epochs: Number of epochs.
        iters_per_epoch: Major iterations of an epoch (the paper: 1,000).
        val_begin: First epoch that is validated.
        val_interval: Epochs between validations.
        dynamic_intervals: Pairs (epoch, interval): from this epoch on, validate at this interval.

    Raises:
        ValueError: If the dataloaders do not fit the model's tasks.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, dict],
        max_epochs: int,
        iters_per_epoch: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        if iters_per_epoch < 1:
            raise ValueError(f'train_cfg.iters_per_epoch must be at least 1, got {iters_per_epoch}')
        loaders = build_dataloaders(runner, dataloader, 'train_dataloader')
        super().__init__(
            runner,
            RoundRobinDataLoader(loaders, iters_per_epoch, runner.seed),
            max_epochs=max_epochs,
            val_begin=val_begin,
            val_interval=val_interval,
            dynamic_intervals=dynamic_intervals,
        )

    def run(self) -> nn.Module:
        """Train, from the current major iteration on.

        Raises:
            ValueError: If a checkpoint stands at another epoch length, or a task has no optimizer.
        """
        wrapper = self.runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            missing = [task for task in self.dataloader.streams if task not in wrapper]
            if missing:
                raise ValueError(
                    f'optim_wrapper has no wrapper for the tasks {missing}; name one for each '
                    f'task, or use a single wrapper or GradSplitOptimWrapper for all of them'
                )
        else:
            # A single mmengine wrapper counts the task steps.
            tasks = len(self.dataloader.streams)
            wrapper.initialize_count_status(
                self.runner.model, self._iter * tasks, self._max_iters * tasks
            )
        try:
            return super().run()
        finally:
            self.dataloader.close()

    def run_epoch(self) -> None:
        """Run the epoch's major iterations, from the current one on."""
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
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Mapping[str, dict]) -> None:
        """Run one major iteration.

        Args:
            idx: Number of the major iteration in its epoch.
            data_batch: The batch of each task.

        Raises:
            FloatingPointError: If a loss is not finite, naming task, iteration and files.
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs: dict[str, Any] = {}
        wrapper = self.runner.optim_wrapper
        for task, batch in data_batch.items():
            seed_all(derive_seed(self.runner.seed, get_rank(), self._iter, task))
            log_vars = self.runner.model.train_step(
                dict(batch, task=task),
                optim_wrapper=wrapper[task] if isinstance(wrapper, OptimWrapperDict) else wrapper,
            )
            self._check_finite(task, batch, log_vars)
            outputs.update({f'{task}/{name}': value for name, value in log_vars.items()})
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
        )
        self._iter += 1

    def _check_finite(self, task: str, batch: Mapping[str, Any], log_vars: Mapping) -> None:
        bad = [
            name
            for name, value in log_vars.items()
            if 'loss' in name and not torch.isfinite(torch.as_tensor(value)).all()
        ]
        if bad:
            raise FloatingPointError(
                f"task '{task}', iteration {self._iter}: {', '.join(bad)} is not finite. Files of "
                f'the batch: {_files(batch.get("data_samples", ()))}. Check these, or lower '
                f'optim_wrapper.optimizer.lr.'
            )


def _files(data_samples: Sequence) -> list[str]:
    return [str(getattr(sample, 'img_path', 'unknown')) for sample in data_samples]
