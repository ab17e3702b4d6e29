"""Round-robin training over a data set for each task."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import Runner

from mmgradsplit.registry import LOOPS

from .dataloaders import RoundRobinDataLoader, build_dataloaders, device_of
from .seeded import SeededTrainLoop, Step


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
            RoundRobinDataLoader(loaders, iters_per_epoch, runner.seed, device_of(runner)),
            tasks=list(loaders),
            sub_steps=1,
            task_steps=True,
            max_epochs=max_epochs,
            val_begin=val_begin,
            val_interval=val_interval,
            dynamic_intervals=dynamic_intervals,
        )

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[Step]:
        """One task step of every task."""
        for task, batch in data_batch.items():
            yield Step(task, dict(batch, task=task), [task], task == self.tasks[-1])
