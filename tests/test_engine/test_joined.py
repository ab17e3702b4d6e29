"""Joint training on data sets that are joined, each annotated for some of the tasks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_ranks import on_two_ranks
from fixtures_training import assert_same, build, fails_before_the_first_step, load, quick, run
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from toy_joint import TASKS, ToyScenes, joint_config

from mmgradsplit.apis import train
from mmgradsplit.registry import DATASETS

# Number of samples, of tasks, and times an epoch.
FEW, MANY, TIMES = 5, 8, 2
COUNTS = dict(add=FEW, first=TIMES * MANY, norm=TIMES * MANY)


@DATASETS.register_module(force=True)
class ToyPart(BaseDataset):
    """A data set of mmengine's with the samples of ``ToyScenes``, for some tasks.

    Args:
        number: Number of samples.
        tasks: The tasks that they are annotated for.
        first: Number of the first of them among all toy samples.
    """

    reads: list[int] = []  # noqa: RUF012

    def __init__(self, number: int, tasks: tuple[str, ...], first: int = 0) -> None:
        self.samples = ToyScenes(100, {str(first + i): tuple(tasks) for i in range(number)})
        self.number, self.first = number, first
        super().__init__(metainfo=dict(classes=[f'{task} {first}' for task in tasks]))

    def load_data_list(self) -> list[dict]:
        return [dict(img_path=str(self.first + i)) for i in range(self.number)]

    def __getitem__(self, index: int) -> dict[str, Any]:
        self.reads.append(self.first + index)
        return self.samples[self.first + index]


def config(folder: Path, batch_size: int = 3, **options: Any) -> Config:
    """One epoch of a joined set: a few samples for one task, many for the two others, twice."""
    cfg = joint_config(
        folder,
        batch_size=batch_size,
        train_cfg__annotations={task: f'gt_{task}' for task in TASKS},
        **options,
    )
    cfg.train_cfg.max_epochs = 2
    cfg.train_dataloader.sampler.shuffle = True
    cfg.train_dataloader.drop_last = batch_size > 3
    many = dict(type='ToyPart', number=MANY, tasks=('first', 'norm'), first=50)
    cfg.train_dataloader.dataset = dict(
        type='JoinedDataset',
        datasets=[
            dict(type='ToyPart', number=FEW, tasks=('add',)),
            dict(type='RepeatDataset', times=TIMES, dataset=many),
        ],
        metainfo=dict(add=0, norm=dict(classes=['large'])),
    )
    cfg.optim_wrapper.optimizer.momentum = 0.9
    return cfg


def test_the_counts_of_an_epoch_are_the_sets(tmp_path: Path) -> None:
    runner = build(config(tmp_path), tmp_path)
    found: list[np.ndarray] = []
    step = runner.model.train_step

    def train_step(batch: dict, optim_wrapper: Any) -> dict:
        found.append(batch['allocation'].sum(0))
        return step(batch, optim_wrapper)

    runner.model.train_step = train_step
    runner.train()
    epochs = np.array(found).reshape(2, 7, 3)  # 21 samples by 3
    assert [dict(zip(TASKS, of.sum(0).tolist(), strict=True)) for of in epochs] == [COUNTS] * 2
    # By chance, and another one in each epoch.
    assert len(set(epochs[0, :, 0].tolist())) > 1
    assert not (epochs[0] == epochs[1]).all()
    meta = load(tmp_path / 'epoch_2.pth')['meta']['dataset_meta']
    assert meta == dict(add=dict(classes=['add 0']), norm=dict(classes=['large']))


@pytest.mark.parametrize('allocator', ['FullTask', 'ISTA'])
@pytest.mark.parametrize('sampler', ['DefaultSampler', 'mmdet.MultiDataSampler'])
def test_resumed_after_any_iteration(allocator: str, sampler: str, tmp_path: Path) -> None:
    cfg = config(tmp_path, train_cfg__allocator=dict(type=allocator))
    if sampler != 'DefaultSampler':
        cfg.train_dataloader.sampler = dict(type=sampler, dataset_ratio=[3, 1])
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    run(cfg, tmp_path / 'whole')
    for iteration in (6, 7, 8):
        folder = tmp_path / str(iteration)
        run(cfg, folder, resume=tmp_path / f'whole/iter_{iteration}.pth')
        ours, theirs = (load(place / 'iter_14.pth') for place in (folder, tmp_path / 'whole'))
        assert_same(ours['state_dict'], theirs['state_dict'])
        assert_same(str(ours['optimizer']), str(theirs['optimizer']))


def train_rank(rank: int, folder: Path) -> None:
    with quick():
        cfg = config(folder, 3)
        cfg.train_dataloader.drop_last = True
        runner = train(cfg, work_dir=folder, launcher='pytorch')
    torch.save(runner.model.module.state_dict(), folder / f'{rank}.pt')


def test_two_processes_equal_one(tmp_path: Path) -> None:
    on_two_ranks(train_rank, tmp_path / 'two')
    one = run(config(tmp_path / 'one', 6), tmp_path / 'one').model.state_dict()
    for rank in (0, 1):
        two = load(tmp_path / f'two/{rank}.pt')
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-10, atol=1e-12)


def test_rates_of_the_sets(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Three of four samples are of the few, whose rate is 3 to 1; the first screen says it."""
    cfg = config(tmp_path, log_level='INFO')
    cfg.train_dataloader.batch_size = 50
    cfg.train_dataloader.sampler = dict(type='mmdet.MultiDataSampler', dataset_ratio=[3, 1])
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=20)
    ToyPart.reads.clear()
    run(cfg, tmp_path)
    few = np.mean([index < 50 for index in ToyPart.reads[2:]])
    assert 0.7 < few < 0.8
    screen = capsys.readouterr().out
    assert 'ToyPart (5, rate 3) + 2 x ToyPart (16, rate 1)' in screen
    assert ToyPart.reads[:2] == [0, 50]  # one of each, to see that all tasks are annotated


def test_the_first_screen_names_the_parts(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run(config(tmp_path, log_level='INFO'), tmp_path)
    assert 'ToyPart (5) + 2 x ToyPart (16)' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(number=0), r'dataset\.datasets\[0\] \(ToyPart\) is empty'),
        (dict(tasks=('first',)), r"no sample is annotated for the tasks \['add'\]"),
        (dict(type='Nothing'), r"mmgradsplit has no 'Nothing'"),
    ],
)
def test_what_does_not_fit(change: dict, words: str, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.train_dataloader.dataset.datasets[0].update(change)
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)


def test_whose_annotations_are_not_named(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.train_cfg.annotations = None
    words = r"train_cfg\.annotations is missing: .*JoinedDataset.*\['add', 'first', 'norm'\]"
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)


@pytest.mark.parametrize('of', [2, 'mmseg.Nothing', None])
def test_meta_information_of_nothing(of: Any, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.train_dataloader.dataset.metainfo = dict(add=of)
    words = r'dataset\.metainfo\.add is .* the number of a part, from 0 to 1'
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)


def two_sets(folder: Path, sampler: dict, **options: Any) -> Config:
    """Round-robin training of one task on a few samples and on many, as mmdet joins them."""
    cfg = joint_config(folder, tasks=('add',), batch_size=3, **options)
    few, many = (
        dict(type='ToyPart', number=number, tasks=('add',), first=first)
        for number, first in ((FEW, 0), (MANY, 50))
    )
    few = dict(type='RepeatDataset', times=3, dataset=few)
    cfg.train_dataloader.sampler = dict(sampler)
    cfg.train_dataloader.dataset = dict(
        type='mmdet.ConcatDataset', datasets=[few, many], ignore_keys=['classes']
    )
    cfg.train_dataloader = dict(add=cfg.train_dataloader)
    cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=4)
    return cfg


@pytest.mark.parametrize(
    'sampler',
    [
        dict(type='DefaultSampler', shuffle=True),
        dict(type='mmdet.MultiDataSampler', dataset_ratio=[1, 2]),
    ],
    ids=lambda sampler: sampler['type'],
)
def test_rates_of_the_sets_of_one_task(sampler: dict, tmp_path: Path) -> None:
    """In round-robin training, with two steps of the task a major iteration; and resumed."""
    cfg = two_sets(tmp_path, sampler)
    cfg.train_dataloader.add['repeat'] = 2
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    ToyPart.reads.clear()
    run(cfg, tmp_path / 'whole')
    if sampler['type'] == 'DefaultSampler':  # 23 samples, once through in eight batches of three
        once = sorted([*range(FEW)] * 3 + [*range(50, 50 + MANY)])
        assert sorted(ToyPart.reads[: len(once)]) == once
    for iteration in (3, 4):
        folder = tmp_path / str(iteration)
        run(cfg, folder, resume=tmp_path / f'whole/iter_{iteration}.pth')
        ours, theirs = (load(place / 'iter_8.pth') for place in (folder, tmp_path / 'whole'))
        assert_same(ours['state_dict'], theirs['state_dict'])


def test_joined_sets_of_one_task_have_its_classes(tmp_path: Path) -> None:
    """Of mmdet's ConcatDataset, whose meta information is a list where the parts differ."""
    cfg = two_sets(tmp_path, dict(type='DefaultSampler', shuffle=True))
    cfg.train_dataloader.add.dataset.ignore_keys = []
    words = r'train_dataloader\.add\.dataset: the meta information.*ignore_keys'
    fails_before_the_first_step(cfg, tmp_path, ValueError, words)
