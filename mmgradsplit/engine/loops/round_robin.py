"""Round-robin training over a data set for each task."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import Runner

from mmgradsplit.registry import LOOPS

from .dataloaders import (
    RoundRobinDataLoader,
    build_dataloaders,
    check_tasks,
    device_of,
    task_names,
)
from .rehearsal import first_samples, rehearse_step
from .repeats import task_repeats, without_repeat
from .seeded import SeededTrainLoop, Step


@LOOPS.register_module()
class RoundRobinTrainLoop(SeededTrainLoop):
    """Trains by major iterations: one task step of every task, in turn (section 3.2).

    One major iteration is one ``iter`` for hooks and schedulers. Losses are logged as
    ``task/loss``. A task with ``repeat=k`` in its dataloader has k task steps in a major iteration,
    each on a batch of its own; the log shows the last one.

    Args:
        runner: mmengine's runner.
        dataloader: Mapping from task to its dataloader config, which may have ``repeat``.
        max_epochs: Number of epochs.
        iters_per_epoch: Major iterations of an epoch (the paper: 1,000).
        val_begin: First epoch that is validated.
        val_interval: Epochs between validations.
        dynamic_intervals: Pairs (epoch, interval): from this epoch on, validate at this interval.

    Raises:
        ValueError: If the dataloaders do not fit the model's tasks, or a ``repeat`` is no whole
            number of at least 1.
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
        tasks, key = task_names(runner), 'train_dataloader'
        check_tasks(dataloader, tasks, key)
        repeats = task_repeats({task: dataloader[task] for task in tasks})
        plain = {task: without_repeat(dataloader[task]) for task in tasks}
        loaders = build_dataloaders(runner, plain, key)
        super().__init__(
            runner,
            RoundRobinDataLoader(
                loaders,
                iters_per_epoch,
                runner.seed,
                repeats=repeats,
                device=device_of(runner),
            ),
            tasks=tasks,
            sub_steps=1,
            task_steps=repeats,
            max_epochs=max_epochs,
            val_begin=val_begin,
            val_interval=val_interval,
            dynamic_intervals=dynamic_intervals,
        )

    def rehearse(self) -> None:
        """Compute the loss of each task."""
        for task in self.tasks:
            batch = first_samples(self.dataloader.peek(task))
            rehearse_step(self.runner, f'tasks.{task}', dict(batch, task=task))

    def steps(self, data_batch: Mapping[str, Any]) -> Iterator[Step]:
        """The task steps of a major iteration, in turn."""
        last = list(data_batch)[-1]
        for name, batch in data_batch.items():
            task = self.dataloader.turns[name]
            yield Step(name, dict(batch, task=task), [task], name == last)
