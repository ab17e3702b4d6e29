"""Streams: the order of the plain dataloader, and randomness that is a function of the place."""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmgradsplit.datasets import RandomIdentitySampler
from mmgradsplit.engine.loops.dataloaders import RoundRobinDataLoader, SequentialDataLoader
from mmgradsplit.engine.loops.streams import TaskStream
from mmgradsplit.engine.loops.transfer import Transfer


class Noise(Dataset):
    """The index of a sample, and a draw of each of the three generators."""

    def __init__(self, size: int = 10) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[int, float, float, float]:
        return index, random.random(), float(np.random.rand()), float(torch.rand(()))

    def get_person_ids(self) -> list[int]:
        return [i // 2 for i in range(self.size)]


def loader(
    size: int = 10,
    batch_size: int = 4,
    num_workers: int = 0,
    sampler: Callable = DefaultSampler,
    dataset: Dataset | None = None,
    **options,
) -> DataLoader:
    dataset = dataset or Noise(size)
    options.setdefault('seed', 3)
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=list,
        sampler=sampler(dataset, **options),
        multiprocessing_context='fork' if num_workers else None,
    )


def read(stream: TaskStream, number: int) -> list[list[tuple]]:
    try:
        return [next(stream) for _ in range(number)]
    finally:
        stream.close()


def indices(batches: list[list[tuple]]) -> list[list[int]]:
    return [[sample[0] for sample in batch] for batch in batches]


def identity_sampler(dataset: Noise, seed: int) -> RandomIdentitySampler:
    return RandomIdentitySampler(dataset, batch_size=4, num_instances=2, seed=seed)


@pytest.mark.parametrize('sampler', [DefaultSampler, identity_sampler])
def test_order_is_that_of_the_dataloader_epoch_by_epoch(sampler: Callable) -> None:
    plain = loader(sampler=sampler)
    expected = []
    for epoch in range(3):
        plain.sampler.set_epoch(epoch)
        expected += [[int(sample[0]) for sample in batch] for batch in plain]
    assert expected[:3] != expected[3:6]
    assert indices(read(TaskStream(loader(sampler=sampler), 'a', 0), 9)) == expected


def test_a_batch_sampler_of_the_config_gets_its_epochs_too() -> None:
    dataset = Noise()

    def build() -> DataLoader:
        sampler = DefaultSampler(dataset, seed=3)
        batches = BatchSampler(sampler, batch_size=5, drop_last=False)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=list)

    plain = loader(batch_size=5)
    assert indices(read(TaskStream(build(), 'a', 0), 6)) == indices(
        read(TaskStream(plain, 'a', 0), 6)
    )


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler, identity_sampler])
@pytest.mark.parametrize('num_workers', [0, 1, 2])
def test_seek_and_workers_do_not_change_a_batch(sampler: Callable, num_workers: int) -> None:
    expected = read(TaskStream(loader(sampler=sampler), 'a', 0), 8)
    stream = TaskStream(loader(sampler=sampler, num_workers=num_workers), 'a', 0)
    for start, stop in ((0, 3), (6, 8), (2, 4)):
        stream.seek(start, 0)
        assert [next(stream) for _ in range(start, stop)] == expected[start:stop]
    stream.close()


def test_infinite_sampler_goes_on_without_an_end() -> None:
    drawn = indices(read(TaskStream(loader(sampler=InfiniteSampler), 'a', 0), 5))
    assert Counter(index for batch in drawn for index in batch) == dict.fromkeys(range(10), 2)


def test_augmentation_differs_by_place() -> None:
    batches = read(TaskStream(loader(), 'a', 0), 30)
    other = read(TaskStream(loader(), 'b', 0), 30)
    seeded = read(TaskStream(loader(), 'a', 1), 30)
    draws = [sample[1:] for run in (batches, other, seeded) for batch in run for sample in batch]
    assert indices(batches) == indices(other) == indices(seeded)
    for kind in range(3):  # Python, NumPy, torch
        assert len({draw[kind] for draw in draws}) == len(draws)


def test_a_sample_twice_in_a_batch_is_augmented_differently() -> None:
    (batch,) = read(TaskStream(loader(size=1, batch_size=2, sampler=InfiniteSampler), 'a', 0), 1)
    assert batch[0][0] == batch[1][0] == 0
    assert batch[0][1:] != batch[1][1:]


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
def test_two_ranks_draw_the_joined_batch(sampler: Callable) -> None:
    def rank(number: int) -> list[list[tuple]]:
        with mock.patch('mmengine.dataset.sampler.get_dist_info', lambda: (number, 2)):
            return read(TaskStream(loader(size=12, batch_size=3, sampler=sampler), 'a', 0), 6)

    joined = read(TaskStream(loader(size=12, batch_size=6, sampler=sampler), 'a', 0), 6)
    for first, second, both in zip(rank(0), rank(1), joined, strict=True):
        assert sorted(first + second) == sorted(both)


def test_two_ranks_draw_the_joined_identities() -> None:
    def build(batch_size: int) -> TaskStream:
        def sampler(dataset: Noise, seed: int) -> RandomIdentitySampler:
            return RandomIdentitySampler(dataset, batch_size, num_instances=2, seed=seed)

        return TaskStream(loader(size=16, batch_size=batch_size, sampler=sampler), 'a', 0)

    def rank(number: int) -> list[list[tuple]]:
        where = 'mmgradsplit.datasets.samplers.random_identity.get_dist_info'
        with mock.patch(where, lambda: (number, 2)):
            return read(build(4), 5)

    for first, second, both in zip(rank(0), rank(1), read(build(8), 5), strict=True):
        assert sorted(first + second) == sorted(both)


def test_another_seed_takes_effect_on_seek() -> None:
    stream = TaskStream(loader(seed=0), 'a', 0)
    next(stream)
    stream.seek(1, 7)
    assert next(stream) == read(TaskStream(loader(seed=7), 'a', 7), 2)[1]


def test_a_sampler_keeps_a_seed_of_its_own() -> None:
    stream = TaskStream(loader(seed=3), 'a', 0)
    stream.seek(0, 7)
    assert indices(read(stream, 6)) == indices(read(TaskStream(loader(seed=3), 'a', 0), 6))


class Logged(Noise):
    """Leaves a file for each sample that is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __getitem__(self, index: int) -> tuple:
        (self.folder / f'{index}').touch()
        return super().__getitem__(index)


def test_the_next_batch_is_prepared_while_this_one_is_used(tmp_path: Path) -> None:
    def logged(task: str) -> DataLoader:
        (tmp_path / task).mkdir()
        return loader(batch_size=1, num_workers=1, dataset=Logged(tmp_path / task), shuffle=False)

    loaders = {task: logged(task) for task in ('a', 'b')}
    batches = RoundRobinDataLoader(loaders, iters_per_epoch=5, seed=0)
    iterator = iter(batches)
    next(iterator)
    end = time.monotonic() + 20
    while not all((tmp_path / task / '1').exists() for task in loaders):
        assert time.monotonic() < end, 'the second batch was never begun'
        time.sleep(0.01)
    batches.close()


def test_workers_end_with_the_stream() -> None:
    stream = TaskStream(loader(num_workers=1), 'a', 0)
    next(stream)
    (worker,) = stream._iterator._workers
    began = time.monotonic()
    stream.close()
    assert not worker.is_alive()
    assert time.monotonic() - began < 4  # torch waits for 5 s where the end goes wrong


def test_an_epoch_is_a_number_of_major_iterations() -> None:
    batches = RoundRobinDataLoader({'a': loader(), 'b': loader(size=3)}, iters_per_epoch=4, seed=0)

    def epoch() -> list[dict]:
        return list(batches)

    first, second = epoch(), epoch()
    assert len(batches) == len(first) == len(second) == 4
    assert all(list(batch) == ['a', 'b'] for batch in first + second)
    batches.seek(6, 0)
    assert epoch() == second[2:]
    assert len(batches.dataset) == 13


@pytest.mark.parametrize('num_workers', [0, 1])
@pytest.mark.parametrize('moves', [False, True])
def test_looking_ahead_changes_no_batch(num_workers: int, moves: bool) -> None:
    loaders = {task: loader(num_workers=num_workers) for task in ('a', 'b')}
    expected = {'a': read(TaskStream(loaders['a'], 'a', 0), 12)}
    expected['b'] = read(TaskStream(loaders['b'], 'b', 0), 6)
    found = []
    with mock.patch.object(Transfer, 'moves', moves):
        batches = RoundRobinDataLoader(loaders, 3, seed=0, repeats={'a': 2, 'b': 1})
        assert [batches.peek(task) for task in loaders] == [expected[task][0] for task in loaders]
        for _ in range(2):
            for batch in batches:
                found.append(batch)
                batches.look_ahead()
        batches.close()
    assert [list(batch) for batch in found] == 6 * [['a', 'b', 'a, step 2']]
    assert [batch[name] for batch in found for name in ('a', 'a, step 2')] == expected['a']
    assert [batch['b'] for batch in found] == expected['b']


@pytest.mark.parametrize('num_workers', [0, 1])
def test_a_sample_that_cannot_be_read_is_named(num_workers: int) -> None:
    class Broken(Noise):
        def __getitem__(self, index: int) -> tuple:
            raise OSError('truncated')

        def get_data_info(self, index: int) -> dict:
            return {'img_path': f'images/{index}.jpg'}

    message = r"task 'a': sample 0 \(images/0\.jpg\) cannot be read: truncated"
    broken = loader(dataset=Broken(), num_workers=num_workers, shuffle=False)
    with pytest.raises(ValueError, match=message):
        next(TaskStream(broken, 'a', 0))

    with pytest.raises(ValueError, match=message):
        next(iter(SequentialDataLoader({'a': broken})))


def test_sequential_loader_reads_what_the_plain_loaders_read() -> None:
    sizes = {'a': 5, 'b': 3}

    def plain(task: str) -> DataLoader:
        dataset = [dict(inputs=i) for i in range(sizes[task])]
        return DataLoader(dataset, batch_size=2, collate_fn=lambda batch: dict(inputs=batch))

    sequential = SequentialDataLoader({task: plain(task) for task in sizes})
    expected = [dict(batch, task=task) for task in sizes for batch in plain(task)]
    assert list(sequential) == expected == list(sequential)
    assert len(sequential) == len(expected) == 5
    assert len(sequential.dataset) == 8
