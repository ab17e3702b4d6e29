"""Endless, seekable streams of batches, a function of the seed and the iteration alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mmgradsplit.functional import derive_seed
from mmgradsplit.utils import SampleError, at_key, seed_all
from mmgradsplit.utils.config_errors import said, step_of_pipeline

from .packing import PackingCollate


class TaskDataset(Dataset):
    """A task's data set, which says of a sample that cannot be read which one it is.

    Args:
        dataset: Data set of any toolbox.
        task: Name of the task, or of joint training's only stream.
        annotations: In joint training, the task that learns from each annotation, by its field.
        key: Config key of its dataloader, for messages.
    """

    def __init__(
        self,
        dataset: Dataset,
        task: str,
        annotations: Mapping[str, str] | None = None,
        *,
        key: str = 'train_dataloader',
    ) -> None:
        self.dataset = dataset
        self.task = task
        self.annotations = dict(annotations or {})
        self.key = key
        if len(self) == 0:
            raise ValueError(
                f"task '{task}': its data set ({type(dataset).__name__}) has no samples; check "
                f'data_root, data_prefix and ann_file of its dataloader'
            )

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    @property
    def metainfo(self) -> dict:
        """Meta information of the data set, empty where it has none."""
        return getattr(self.dataset, 'metainfo', {})

    def __getitem__(self, token: int | tuple[int, int]) -> Any:
        """Sample of an index; a token (index, seed) seeds its augmentations first.

        Raises:
            ValueError: If the sample cannot be read, naming task, index and file.
        """
        index, seed = token if isinstance(token, tuple) else (token, None)
        if seed is not None:
            seed_all(seed)
        try:
            return self.dataset[index]
        except Exception as error:
            task, file = self.task, None
            if isinstance(error, SampleError):
                file, what = error.file, error.what
                task = self.annotations.get(error.field or '', task)
            else:
                what = step_of_pipeline(error, self.key) + said(error)
            raise ValueError(
                f"task '{task}': sample {index} ({file or self._file(index)}) cannot be read: "
                f'{what}'
            ) from error

    def _file(self, index: int) -> str:
        try:
            return str(self.dataset.get_data_info(index)['img_path'])  # type: ignore[attr-defined]
        except (AttributeError, KeyError, TypeError):
            return 'file unknown'


class _Tokens(Sampler):
    """Endless batches of (index, seed), beginning at any iteration."""

    def __init__(self, dataloader: DataLoader, task: str, seed: int) -> None:
        self.batches = dataloader.batch_sampler
        # A batch sampler of the config has its sampler; the dataloader does not know it.
        sampler = getattr(self.batches, 'sampler', dataloader.sampler)
        self.samplers: tuple[Any, ...] = (sampler, self.batches)
        self.task = task
        self.seed = seed
        self.start = 0

    def _indices(self) -> Iterator[list[int]]:
        epoch = 0
        for sampler in self.samplers:
            if hasattr(sampler, 'skip'):
                sampler.skip(0)  # mmengine's InfiniteSampler goes on where it was otherwise
        while True:
            for sampler in self.samplers:
                if hasattr(sampler, 'set_epoch'):
                    sampler.set_epoch(epoch)
            empty = True
            for batch in self.batches:  # type: ignore[union-attr]
                empty = False
                yield batch
            if empty:
                raise ValueError(
                    f"task '{self.task}': its sampler gives no batch; with drop_last=True, "
                    f'train_dataloader.{self.task}.batch_size must not exceed the data set'
                )
            epoch += 1

    def reseed(self, seed: int) -> None:
        """Take another seed, as a resumed run does that has none in its config."""
        for sampler in self.samplers:
            # One with a seed of its own keeps it.
            if getattr(sampler, 'seed', None) == self.seed:
                sampler.seed = seed
        self.seed = seed

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for iteration, batch in enumerate(self._indices()):
            if iteration < self.start:
                continue
            seen: Counter[int] = Counter()
            tokens = []
            for index in batch:
                # The occurrence tells repeated samples of one batch apart.
                seed = derive_seed(self.seed, self.task, iteration, index, seen[index])
                tokens.append((index, seed))
                seen[index] += 1
            yield tokens


def rewrap(
    dataloader: DataLoader,
    dataset: Dataset,
    batch_sampler: Any,
    persistent_workers: bool = False,
    packed: bool = False,
) -> DataLoader:
    """A dataloader with the options of ``dataloader`` but another data set and batch sampler.

    Args:
        dataloader: The dataloader.
        dataset: The other data set.
        batch_sampler: The other batch sampler.
        persistent_workers: Whether workers go on after the last batch.
        packed: Whether its batches are packed, and pinned where there is a GPU.
    """
    options: dict[str, Any] = {}
    if dataloader.num_workers > 0:
        options['prefetch_factor'] = dataloader.prefetch_factor
        options['persistent_workers'] = persistent_workers
        options['multiprocessing_context'] = dataloader.multiprocessing_context
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=dataloader.num_workers,
        collate_fn=PackingCollate(dataloader.collate_fn) if packed else dataloader.collate_fn,
        pin_memory=dataloader.pin_memory or (packed and torch.cuda.is_available()),
        timeout=dataloader.timeout,
        worker_init_fn=dataloader.worker_init_fn,
        **options,
    )


class TaskStream:
    """Endless stream of one task's batches, whatever the number of loader workers.

    The order of the samples is that of the dataloader's own (batch) sampler, epoch after epoch. The
    augmentations of a sample depend on the seed, the task, the iteration and the sample alone, so a
    resumed run, another number of workers and a run on several ranks draw the same.

    Args:
        dataloader: The task's dataloader, as mmengine builds it.
        task: Name of the task.
        seed: Seed of the run.
        annotations: As for :class:`TaskDataset`.
        key: Config key of the dataloader, for messages.
        packed: Whether its batches are :class:`~.packing.PackedBatch`.
    """

    def __init__(
        self,
        dataloader: DataLoader,
        task: str,
        seed: int,
        annotations: Mapping[str, str] | None = None,
        *,
        key: str = 'train_dataloader',
        packed: bool = False,
    ) -> None:
        self.key = key
        self.dataset = TaskDataset(dataloader.dataset, task, annotations, key=key)
        self._tokens = _Tokens(dataloader, task, seed)
        self._loader = rewrap(dataloader, self.dataset, self._tokens, packed=packed)
        self._iterator: Iterator | None = None
        self._position = 0
        self._peeked: list[Any] = []

    @property
    def batch_size(self) -> int | None:
        """Samples of a batch, or None where the config's batch sampler does not say."""
        return getattr(self._tokens.batches, 'batch_size', None)

    @property
    def rates(self) -> Sequence[float] | None:
        """Rates at which joined data sets are drawn from, where the sampler has them."""
        return getattr(self._tokens.samplers[0], 'dataset_ratio', None)  # mmdet's MultiDataSampler

    def seek(self, iteration: int, seed: int) -> None:
        """Make ``iteration`` of the run with this seed the next batch."""
        if (iteration, seed) != (self._position, self._tokens.seed):
            self.close()
        if self._iterator is None:
            self._tokens.start = self._position = iteration
            self._tokens.reseed(seed)

    def close(self) -> None:
        """Stop the workers."""
        self._iterator = None
        self._peeked = []

    def peek(self) -> Any:
        """The next batch, which stays the next one."""
        if not self._peeked:
            with at_key(self.key):
                self._peeked = [self._read()]
        return self._peeked[0]

    def __next__(self) -> Any:
        """The next batch; the workers go on with the ones after it."""
        self._position += 1
        return self._peeked.pop() if self._peeked else self._read()

    def _read(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._loader)
        return next(self._iterator)
