"""Builds the dataloaders of all tasks, with their checks."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmgradsplit.utils import unwrapped

from .checks import check_annotations, check_outputs, dataset_errors_said
from .repeats import REPEAT, turns
from .streams import TaskDataset, TaskStream, rewrap


def task_names(runner: Runner) -> list[str]:
    """Names of the model's tasks, in order."""
    model = unwrapped(runner.model)
    if not hasattr(model, 'tasks'):
        raise ValueError(
            f'this loop trains and evaluates a MultiTaskModel, but model.type is '
            f"'{type(model).__name__}'"
        )
    return list(model.tasks)


def check_tasks(config: Any, tasks: list[str], key: str) -> None:
    """Check that ``config`` has exactly one entry a task.

    Raises:
        ValueError: If it has not, naming the config key.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f'{key} must be a dict with an entry for each task {tasks}')
    missing = [task for task in tasks if task not in config]
    unknown = [task for task in config if task not in tasks]
    if missing or unknown:
        raise ValueError(
            f'{key} must have an entry for each task of the model ({tasks}): '
            f'missing {missing}, unknown {unknown}'
        )


def build_dataloaders(runner: Runner, config: Any, key: str) -> dict[str, DataLoader]:
    """Build one dataloader a task, as mmengine does.

    Args:
        runner: mmengine's runner.
        config: Mapping from task to mmengine's dataloader config.
        key: Config key, for messages.

    Returns:
        The dataloaders in the order of the model's tasks.

    Raises:
        ValueError: If a task has no dataloader, a dataloader has no task or a data set no sample,
            or a head has another number of outputs than the data set has classes or keypoints.
        FileNotFoundError: If a data folder or an annotation file is not there.
    """
    tasks = task_names(runner)
    check_tasks(config, tasks, key)
    loaders = {task: build_dataloader(runner, config[task], f'{key}.{task}') for task in tasks}
    models = unwrapped(runner.model).tasks
    for task, loader in loaders.items():
        check_outputs(models[task], loader.dataset, task, f'{key}.{task}')
    return loaders


def build_dataloader(runner: Runner, cfg: Any, key: str) -> DataLoader:
    """Build one dataloader, as mmengine does.

    Args:
        runner: mmengine's runner.
        cfg: mmengine's dataloader config.
        key: Config key, for messages.

    Raises:
        ValueError: If the data set has no sample, or the config a ``repeat``, which only
            round-robin training has.
        FileNotFoundError: If a data folder or an annotation file is not there.
    """
    if isinstance(cfg, Mapping) and REPEAT in cfg:
        raise ValueError(
            f'{key}.{REPEAT}: only the tasks of RoundRobinTrainLoop have task steps of their own '
            f'to repeat; repeat a data set by a RepeatDataset around it (docs/task_rates.md)'
        )
    dataset = cfg.get('dataset') if isinstance(cfg, Mapping) else None
    for name, root in _roots(dataset, f'{key}.dataset'):
        if root and '://' not in root and not Path(root).exists():
            raise FileNotFoundError(
                f"{name}.data_root: no folder '{root}'; put the data there (docs/data.md), draw "
                f'some with `mmgradsplit draw`, or set the key'
            )
    with dataset_errors_said(f'{key}.dataset'), _quick_collections():
        loader = runner.build_dataloader(
            cfg,
            seed=runner.seed,
            diff_rank_seed=runner.cfg.get('randomness', {}).get('diff_rank_seed', False),
        )
    check_annotations(loader.dataset, key)
    return loader


def _roots(dataset: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The folders of a data set's config, and of those that it is joined of or wraps, by key."""
    if isinstance(dataset, Mapping):
        yield key, dataset.get('data_root')
        yield from _roots(dataset.get('dataset'), f'{key}.dataset')
        for index, part in enumerate(dataset.get('datasets') or ()):
            yield from _roots(part, f'{key}.datasets.{index}')


@contextmanager
def _quick_collections() -> Iterator[None]:
    """Let collections of garbage pass over all that is there already.

    mmengine's data sets collect when they have read their annotations. Each would look through all
    objects of the toolboxes, for a third of a second.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Datasets:
    """The data sets of all tasks as mmengine's loops look at one."""

    def __init__(self, datasets: Mapping[str, TaskDataset]) -> None:
        self.datasets = dict(datasets)
        self.metainfo: dict[str, Any] = {}
        for task, dataset in self.datasets.items():
            # A JoinedDataset has that of each of its tasks.
            own = getattr(dataset.dataset, 'task_metainfo', None)
            self.metainfo.update({task: dataset.metainfo} if own is None else own)

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets.values())


class RoundRobinDataLoader:
    """Batches of all tasks, one for each task step of a major iteration.

    Args:
        dataloaders: The tasks' dataloaders.
        iters_per_epoch: Major iterations of an epoch.
        seed: Seed of the run.
        repeats: Task steps of each task in a major iteration; by default, one.

    Attributes:
        turns: The task of each step of a major iteration, by the step's name.
    """

    def __init__(
        self,
        dataloaders: Mapping[str, DataLoader],
        iters_per_epoch: int,
        seed: int,
        repeats: Mapping[str, int] | None = None,
    ) -> None:
        self.repeats = dict(repeats or dict.fromkeys(dataloaders, 1))
        self.turns = turns(self.repeats)
        self.streams = {
            task: TaskStream(loader, task, seed) for task, loader in dataloaders.items()
        }
        self.dataset = _Datasets({task: s.dataset for task, s in self.streams.items()})
        self.iters_per_epoch = iters_per_epoch
        self._iteration = 0

    def __len__(self) -> int:
        return self.iters_per_epoch

    def seek(self, iteration: int, seed: int) -> None:
        """Make ``iteration``, from the beginning of the run with this seed, the next one."""
        self._iteration = iteration
        for task, stream in self.streams.items():
            stream.seek(iteration * self.repeats[task], seed)

    def close(self) -> None:
        """Stop the workers."""
        for stream in self.streams.values():
            stream.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches by the names of the steps, to the end of the epoch of the current iteration."""
        while True:
            self._iteration += 1
            yield {name: next(self.streams[task]) for name, task in self.turns.items()}
            if self._iteration % self.iters_per_epoch == 0:
                return


class SequentialDataLoader:
    """All batches of one task after another, each marked with its task.

    Args:
        dataloaders: The tasks' dataloaders.
    """

    def __init__(self, dataloaders: Mapping[str, DataLoader]) -> None:
        datasets = {task: TaskDataset(loader.dataset, task) for task, loader in dataloaders.items()}
        self.dataset = _Datasets(datasets)
        self.dataloaders = {
            task: rewrap(loader, datasets[task], loader.batch_sampler, loader.persistent_workers)
            for task, loader in dataloaders.items()
        }

    def __len__(self) -> int:
        return sum(len(loader) for loader in self.dataloaders.values())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for task, loader in self.dataloaders.items():
            for batch in loader:
                yield dict(batch, task=task)
