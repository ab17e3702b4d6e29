"""Builds the dataloaders of all tasks, with their checks."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmgradsplit.utils import at_key, unwrapped

from .checks import check_annotations, check_outputs, dataset_errors_said, numbers_of_classes
from .reading import check_annotation_files, check_while_reading
from .repeats import REPEAT, turns
from .streams import TaskDataset, TaskStream, rewrap
from .transfer import Transfer

CPU = torch.device('cpu')


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
    loaders = {
        task: build_dataloader(runner, config[task], f'{key}.{task}', [task]) for task in tasks
    }
    models = unwrapped(runner.model).tasks
    for task, loader in loaders.items():
        check_outputs(models[task], loader.dataset, task, f'{key}.{task}')
    return loaders


def build_dataloader(runner: Runner, cfg: Any, key: str, tasks: Sequence[str]) -> DataLoader:
    """Build one dataloader, as mmengine does, whose data set checks what it loads.

    Args:
        runner: mmengine's runner.
        cfg: mmengine's dataloader config.
        key: Config key, for messages.
        tasks: Names of the tasks that its samples are for.

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
    with at_key(key, cfg), dataset_reading(dataset, f'{key}.dataset'):
        loader = runner.build_dataloader(
            cfg,
            seed=runner.seed,
            diff_rank_seed=runner.cfg.get('randomness', {}).get('diff_rank_seed', False),
        )
    check_annotations(loader.dataset, key)
    check_while_reading(loader.dataset, numbers_of_classes(unwrapped(runner.model), tasks))
    return loader


def _parts(dataset: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A data set's config, and those of the sets that it is joined of or wraps, by key."""
    if isinstance(dataset, Mapping):
        yield key, dataset
        yield from _parts(dataset.get('dataset'), f'{key}.dataset')
        for index, part in enumerate(dataset.get('datasets') or ()):
            yield from _parts(part, f'{key}.datasets.{index}')


@contextmanager
def dataset_reading(dataset: Any, key: str) -> Iterator[None]:
    """Within this context a data set is built, and its errors name key and file.

    Args:
        dataset: Its config; a data set that is built already needs nothing.
        key: Its config key.

    Raises:
        FileNotFoundError: If its folder is not there.
        ValueError: If what it reads is not in order.
    """
    for name, part in _parts(dataset, key):
        root = part.get('data_root')
        if root and '://' not in root and not Path(root).exists():
            raise FileNotFoundError(
                f"{name}.data_root: no folder '{root}'; put the data there (docs/data.md), draw "
                f'some with `mmgradsplit draw`, or set the key'
            )
        check_annotation_files(part, name)
    with dataset_errors_said(key), _quick_collections():
        yield


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


# The stream of all tasks in joint training.
STREAM = 'joint'


def _key(stream: str) -> str:
    return 'train_dataloader' if stream == STREAM else f'train_dataloader.{stream}'


def device_of(runner: Runner) -> torch.device:
    """The device of a runner's model, where batches have to go."""
    return next(runner.model.parameters()).device


class RoundRobinDataLoader:
    """Batches of all tasks, one for each task step of a major iteration.

    Args:
        dataloaders: The tasks' dataloaders.
        iters_per_epoch: Major iterations of an epoch.
        seed: Seed of the run.
        annotations: In joint training, the task that learns from each annotation, by its field.
        repeats: Task steps of each task in a major iteration; by default, one.
        device: Where the batches have to go.

    Attributes:
        turns: The task of each step of a major iteration, by the step's name.
    """

    def __init__(
        self,
        dataloaders: Mapping[str, DataLoader],
        iters_per_epoch: int,
        seed: int,
        annotations: Mapping[str, str] | None = None,
        repeats: Mapping[str, int] | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.repeats = dict(repeats or dict.fromkeys(dataloaders, 1))
        self.turns = turns(self.repeats)
        self.transfer = Transfer(device)
        self.streams = {
            task: TaskStream(
                loader,
                task,
                seed,
                annotations,
                key=_key(task),
                # Packed, they also come from the workers at half the price.
                packed=self.transfer.moves or loader.num_workers > 0,
            )
            for task, loader in dataloaders.items()
        }
        self.dataset = _Datasets({task: s.dataset for task, s in self.streams.items()})
        self.iters_per_epoch = iters_per_epoch
        self._iteration = 0
        self._ahead: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self.iters_per_epoch

    def seek(self, iteration: int, seed: int) -> None:
        """Make ``iteration``, from the beginning of the run with this seed, the next one."""
        self._iteration, self._ahead = iteration, None
        for task, stream in self.streams.items():
            stream.seek(iteration * self.repeats[task], seed)

    def close(self) -> None:
        """Stop the workers."""
        self._ahead = None
        for stream in self.streams.values():
            stream.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches by the names of the steps, to the end of the epoch of the current iteration."""
        while True:
            batch = self._following() if self._ahead is None else self._ahead
            self._iteration, self._ahead = self._iteration + 1, None
            self.transfer.arrive()
            yield batch
            if self._iteration % self.iters_per_epoch == 0:
                return

    def peek(self, stream: str) -> Any:
        """The next batch of a stream, which stays the next one.

        Args:
            stream: Name of the stream.
        """
        batch = self.transfer.send(self.streams[stream].peek())
        self.transfer.arrive()
        return batch

    def look_ahead(self) -> None:
        """Begin to move the next batch of the epoch, where it has to be moved.

        The training loop calls it when the device has its work, before it waits for the device.
        """
        inside = self._iteration % self.iters_per_epoch != 0
        if self.transfer.moves and inside and self._ahead is None:
            self._ahead = self._following()

    def _following(self) -> dict[str, Any]:
        """The batch of the current iteration."""
        return self._read()

    def _read(self) -> dict[str, Any]:
        """The next batch of each stream, under way."""
        return {
            name: self.transfer.send(next(self.streams[task])) for name, task in self.turns.items()
        }


class SequentialDataLoader:
    """All batches of one task after another, each marked with its task.

    Args:
        dataloaders: The tasks' dataloaders.
        key: Config key of all of them, for messages.
        device: Where the batches have to go.
    """

    def __init__(
        self,
        dataloaders: Mapping[str, DataLoader],
        key: str = 'val_dataloader',
        device: torch.device = CPU,
    ) -> None:
        self.transfer = Transfer(device)
        datasets = {
            task: TaskDataset(loader.dataset, task, key=f'{key}.{task}')
            for task, loader in dataloaders.items()
        }
        self.dataset = _Datasets(datasets)
        self.dataloaders = {
            task: rewrap(
                loader,
                datasets[task],
                loader.batch_sampler,
                loader.persistent_workers,
                packed=self.transfer.moves,
            )
            for task, loader in dataloaders.items()
        }

    def __len__(self) -> int:
        return sum(len(loader) for loader in self.dataloaders.values())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for task in self.dataloaders:
            yield from self.batches(task)

    def batches(self, task: str) -> Iterator[dict[str, Any]]:
        """The batches of one task, each marked with it."""
        for packed in self.dataloaders[task]:
            batch = self.transfer.send(packed)
            self.transfer.arrive()
            yield dict(batch, task=task)
