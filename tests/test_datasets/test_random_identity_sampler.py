"""The random-identity sampler: its batches, its determinism, its share for each process."""

from itertools import chain
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner
from mmpretrain.datasets import CustomDataset

from mmgradsplit.datasets.samplers import RandomIdentitySampler, random_identity

# 11 identities; identity i has i + 1 images, so that some have fewer than K.
PERSON_IDS = [10 * i for i in range(11) for _ in range(i + 1)]


class People:
    """A data set with mmengine's get_data_info."""

    def __len__(self) -> int:
        return len(PERSON_IDS)

    def __getitem__(self, i: int) -> int:
        return i

    def get_data_info(self, i: int) -> dict:
        return dict(person_id=PERSON_IDS[i])


class Wrapper:
    """A data set around another, sample for sample."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> int:
        return self.dataset[i]


def batches(sampler: RandomIdentitySampler, size: int) -> list[list[int]]:
    indices = list(sampler)
    assert len(indices) == len(sampler) and len(indices) % size == 0
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def sampler_of(monkeypatch, rank, world_size, **kwargs) -> RandomIdentitySampler:
    monkeypatch.setattr(random_identity, 'get_dist_info', lambda: (rank, world_size))
    return RandomIdentitySampler(People(), **kwargs)


@pytest.mark.parametrize('round_up, number', [(True, 3), (False, 2)])
def test_each_batch_has_p_identities_of_k_images(round_up, number):
    sampler = RandomIdentitySampler(
        People(), batch_size=12, num_instances=3, seed=1, round_up=round_up
    )
    found = batches(sampler, 12)
    assert len(found) == number
    for batch in found:
        people = [PERSON_IDS[i] for i in batch]
        groups = [people[i : i + 3] for i in range(0, 12, 3)]
        assert all(len(set(group)) == 1 for group in groups)
        assert len({group[0] for group in groups}) == 4
    if round_up:
        assert {PERSON_IDS[i] for batch in found for i in batch} == set(PERSON_IDS)


def test_replacement_only_where_images_are_too_few():
    indices = list(RandomIdentitySampler(People(), batch_size=12, num_instances=3, seed=0))
    for i in range(0, len(indices), 3):
        group = indices[i : i + 3]
        if PERSON_IDS.count(PERSON_IDS[group[0]]) >= 3:
            assert len(set(group)) == 3


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        sampler = RandomIdentitySampler(People(), batch_size=4, num_instances=2, seed=seed)
        sampler.set_epoch(epoch)
        assert list(sampler) == list(sampler)
        return list(sampler)

    assert order(3, 5) == order(3, 5)
    assert len({tuple(order(s, e)) for s in range(3) for e in range(3)}) == 9


@pytest.mark.parametrize('round_up', [True, False])
@pytest.mark.parametrize('world_size', [2, 3])
def test_processes_joined_are_one_process(monkeypatch, world_size, round_up):
    common = dict(num_instances=2, seed=7, round_up=round_up)
    joined = batches(
        sampler_of(monkeypatch, 0, 1, batch_size=6 * world_size, **common), 6 * world_size
    )
    shares = [
        batches(sampler_of(monkeypatch, rank, world_size, batch_size=6, **common), 6)
        for rank in range(world_size)
    ]
    assert [[*chain(*batch)] for batch in zip(*shares, strict=True)] == joined
    for batch in (batch for share in shares for batch in share):
        assert len({PERSON_IDS[i] for i in batch}) == 3


def test_more_processes_than_identities_for_them(monkeypatch):
    # 11 identities, 4 processes with 4 each: an identity comes twice, but never in one process.
    for rank in range(4):
        sampler = sampler_of(monkeypatch, rank, 4, batch_size=8, num_instances=2, seed=0)
        for batch in batches(sampler, 8):
            assert len({PERSON_IDS[i] for i in batch}) == 4


@pytest.mark.parametrize('dataset', [
    SimpleNamespace(get_person_ids=lambda: PERSON_IDS),
    Wrapper(Wrapper(People())),
])  # fmt: skip
def test_identities_through_wrappers(dataset):
    options = dict(batch_size=4, num_instances=2, seed=0)
    expected = list(RandomIdentitySampler(People(), **options))
    assert list(RandomIdentitySampler(dataset, **options)) == expected


def test_builds_by_mmengines_runner():
    loader = Runner.build_dataloader(
        dict(
            dataset=Wrapper(People()),
            sampler=dict(type='mmgradsplit.RandomIdentitySampler', batch_size=8, num_instances=4),
            batch_size=8,
            num_workers=0,
            collate_fn=list,
        ),
        seed=0,
    )
    loader.sampler.set_epoch(2)
    found = list(loader)
    assert len(found) == len(loader) == 6
    assert all(len({PERSON_IDS[i] for i in batch}) == 2 for batch in found)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r'batch_size=10 is not a multiple of num_instances=4'):
        RandomIdentitySampler(People(), batch_size=10, num_instances=4)
    with pytest.raises(ValueError, match=r'asks for 12 identities a batch, but .* has 11'):
        RandomIdentitySampler(People(), batch_size=24, num_instances=2)
    (tmp_path / 'list.txt').write_text('a.png 0\n')
    unlabelled = CustomDataset(data_root=str(tmp_path), ann_file='list.txt')
    with pytest.raises(ValueError, match=r'CustomDataset does not say who.*person_id'):
        RandomIdentitySampler(unlabelled, batch_size=4, num_instances=2)
