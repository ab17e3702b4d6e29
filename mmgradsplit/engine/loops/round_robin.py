"""Round-robin training over a data set for each task. May import torch, mmengine."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from mmgradsplit.registry import LOOPS

from .dataloaders import RoundRobinDataLoader, build_dataloaders
from .seeded import SeededTrainLoop


@LOOPS.register_module()
class RoundRobinTrainLoop(SeededTrainLoop):
    """Trains by major iterations: one task step of every task, in turn (section 3.2).

    One major iteration is one ``iter`` for hooks and schedulers. Losses are logged as
    ``task/loss``.

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
        self.steps_per_iter = len(loaders)

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
        return super().run()

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[tuple[str, dict, OptimWrapper]]:
        """One task step of every task."""
        wrapper = self.runner.optim_wrapper
        for task, batch in data_batch.items():
            own = wrapper[task] if isinstance(wrapper, OptimWrapperDict) else wrapper
            yield task, dict(batch, task=task, weighted=True), own

    def collect(self, outputs: dict[str, Any], name: str, log_vars: Mapping[str, Any]) -> None:
        """Losses as ``task/loss``."""
        outputs.update({f'{name}/{key}': value for key, value in log_vars.items()})
