"""Tiny data of four tasks on disk, and configs of runs on it that take a second.

Pictures of 32 x 32 in the formats of PA-100K, Market-1501, MPII and LIP, written from a seed.
"""

import contextlib
import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import scipy.io
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.modules.batchnorm import _BatchNorm

from mmgradsplit.apis import train
from mmgradsplit.apis.preparation import check, prepare
from mmgradsplit.engine.screen import ScreenRunner
from mmgradsplit.registry import HOOKS

ALL = ('attribute', 'reid', 'pose', 'parsing')
SIZE = 32
GN = dict(type='GN', num_groups=2)
NUM_ATTRIBUTES = 3
NUM_PARTS = 4
_SOURCE = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
)


# ---- data ----


def write_data(root: Path, number: int = 12, seed: int = 0) -> Path:
    """Write all four data sets, ``number`` pictures a split, below ``root``."""
    rng = np.random.default_rng(seed)
    write_attribute(root / 'attribute', number, rng)
    write_reid(root / 'reid', number // 3, 3, rng)
    write_pose(root / 'pose', number, rng)
    write_parsing(root / 'parsing', number, rng)
    return root


def _picture(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))


def write_attribute(root: Path, number: int, rng: np.random.Generator) -> None:
    content: dict[str, Any] = {}
    for split in ('train', 'val', 'test'):
        names = [f'{split}_{i}.png' for i in range(number)]
        for name in names:
            _picture(root / 'release_data/release_data' / name, rng)
        cells = np.empty((number, 1), dtype=object)
        cells[:, 0] = names
        content[f'{split}_images_name'] = cells
        content[f'{split}_label'] = rng.integers(0, 2, (number, NUM_ATTRIBUTES))
    (root / 'annotation').mkdir()
    scipy.io.savemat(root / 'annotation/annotation.mat', content)


def write_reid(root: Path, people: int, images: int, rng: np.random.Generator) -> None:
    for folder, first in (('bounding_box_train', 1), ('bounding_box_test', 101), ('query', 101)):
        for person in range(first, first + people):
            for i in range(1 if folder == 'query' else images):
                camera = 9 if folder == 'query' else i + 1
                _picture(root / folder / f'{person:04d}_c{camera}s1_00000{i}_00.png', rng)


def write_pose(root: Path, number: int, rng: np.random.Generator) -> None:
    (root / 'annotations').mkdir(parents=True)
    for first, split in ((1000, 'train'), (2000, 'val')):
        entries = []
        for i in range(first, first + number):
            _picture(root / f'images/{i}.png', rng)
            entries.append(
                dict(
                    image=f'{i}.png',
                    center=[16.0, 16.0],
                    scale=0.12,
                    joints=rng.uniform(4, 28, (16, 2)).tolist(),
                    joints_vis=[1] * 16,
                )
            )
        (root / f'annotations/{split}.json').write_text(json.dumps(entries))
    boxes = np.stack([np.zeros((2, number)), np.full((2, number), 10.0)])
    scipy.io.savemat(root / 'annotations/headboxes.mat', dict(headboxes_src=boxes))


def write_parsing(root: Path, number: int, rng: np.random.Generator) -> None:
    for split in ('train', 'val'):
        for i in range(number):
            _picture(root / f'{split}_images/{i}.png', rng)
            labels = root / f'{split}_labels/{i}.png'
            labels.parent.mkdir(exist_ok=True)
            assert cv2.imwrite(
                str(labels), rng.integers(0, NUM_PARTS, (SIZE, SIZE), dtype=np.uint8)
            )


# ---- configs ----


def _loader(dataset: dict, batch_size: int, sampler: dict) -> dict:
    return dict(batch_size=batch_size, num_workers=0, sampler=sampler, dataset=dataset)


def _loaders(datasets: Sequence[dict], batch_size: int, sampler: dict | None = None) -> dict:
    plain = dict(type='DefaultSampler', shuffle=False, round_up=False)
    return dict(
        train_dataloader=_loader(
            datasets[0], batch_size, sampler or dict(type='DefaultSampler', shuffle=True)
        ),
        val_dataloader=_loader(datasets[1], 5, plain),
    )


def _load_and_flip() -> list[dict]:
    return [
        dict(type='LoadImageFromFile'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomErasing', erase_prob=0.5, max_area_ratio=0.3),
        dict(type='PackInputs'),
    ]


def attribute_task(root: Path, batch_size: int) -> dict:
    data = dict(
        _scope_='mmpretrain',
        type='mmgradsplit.PA100K',
        data_root=str(root / 'attribute'),
        metainfo=dict(classes=['hat', 'bag', 'skirt']),
    )
    plain = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    return dict(
        model=dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(
                type='ClsDataPreprocessor', num_classes=NUM_ATTRIBUTES, to_onehot=True, **_SOURCE
            ),
            head=dict(
                type='mmgradsplit.MultiLabelConvHead',
                in_channels=64,
                conv_channels=8,
                num_classes=NUM_ATTRIBUTES,
                loss=dict(type='CrossEntropyLoss', use_sigmoid=True),
            ),
        ),
        val_evaluator=dict(type='AttributeMetric'),
        **_loaders(
            [dict(**data, split='train', pipeline=_load_and_flip()),
             dict(**data, split='test', pipeline=plain)],
            batch_size,
        ),
    )  # fmt: skip


def reid_task(root: Path, batch_size: int) -> dict:
    data = dict(_scope_='mmpretrain', type='mmgradsplit.Market1501', data_root=str(root / 'reid'))
    keys = ('img_path', 'person_id', 'camera_id', 'is_query')
    plain = [dict(type='LoadImageFromFile'), dict(type='PackInputs', meta_keys=keys)]
    return dict(
        model=dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(type='ClsDataPreprocessor', **_SOURCE),
            head=dict(
                type='mmgradsplit.ReIDHead',
                in_channels=64,
                conv_channels=8,
                num_classes=16,
                norm_cfg=GN,
                loss=dict(type='CrossEntropyLoss'),
            ),
        ),
        val_evaluator=dict(type='ReIDMetric'),
        **_loaders(
            [dict(**data, split='train', pipeline=_load_and_flip()),
             dict(**data, split='test', pipeline=plain)],
            batch_size,
            dict(
                type='mmgradsplit.RandomIdentitySampler',
                batch_size=batch_size,
                num_instances=2,
            ),
        ),
    )  # fmt: skip


def pose_task(root: Path, batch_size: int) -> dict:
    codec = dict(type='MSRAHeatmap', input_size=(SIZE, SIZE), heatmap_size=(8, 8), sigma=1)
    data = dict(
        _scope_='mmpose',
        type='MpiiDataset',
        data_root=str(root / 'pose'),
        data_prefix=dict(img='images/'),
    )
    head = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    return dict(
        model=dict(
            type='mmpose.TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor', bgr_to_rgb=True, **_SOURCE),
            head=dict(
                type='HeatmapHead',
                in_channels=64,
                out_channels=16,
                deconv_out_channels=(8, 8, 8),
                deconv_kernel_sizes=(4, 4, 4),
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=codec,
            ),
            test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
        ),
        val_evaluator=dict(type='mmpose.MpiiPCKAccuracy'),
        **_loaders(
            [
                dict(
                    **data,
                    ann_file='annotations/train.json',
                    pipeline=[
                        *head,
                        dict(type='RandomFlip', direction='horizontal'),
                        dict(type='RandomBBoxTransform', shift_prob=0.0),
                        dict(type='TopdownAffine', input_size=codec['input_size']),
                        dict(type='GenerateTarget', encoder=codec),
                        dict(type='PackPoseInputs'),
                    ],
                ),
                dict(
                    **data,
                    ann_file='annotations/val.json',
                    headbox_file=str(root / 'pose/annotations/headboxes.mat'),
                    test_mode=True,
                    pipeline=[
                        *head,
                        dict(type='TopdownAffine', input_size=codec['input_size']),
                        dict(type='PackPoseInputs'),
                    ],
                ),
            ],
            batch_size,
        ),
    )


def parsing_task(root: Path, batch_size: int) -> dict:
    def data(split: str, *augmentations: dict) -> dict:
        return dict(
            _scope_='mmseg',
            type='BaseSegDataset',
            data_root=str(root / 'parsing'),
            data_prefix=dict(img_path=f'{split}_images', seg_map_path=f'{split}_labels'),
            metainfo=dict(classes=tuple('abcd'), palette=[[60 * i] * 3 for i in range(NUM_PARTS)]),
            img_suffix='.png',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                *augmentations,
                dict(type='PackSegInputs'),
            ],
        )

    return dict(
        model=dict(
            type='mmseg.EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor', bgr_to_rgb=True, size=(SIZE, SIZE), **_SOURCE
            ),
            decode_head=dict(
                type='PSPHead',
                in_channels=64,
                in_index=-1,
                channels=8,
                pool_scales=(1, 2),
                dropout_ratio=0.1,
                num_classes=NUM_PARTS,
                norm_cfg=GN,
                align_corners=False,
                loss_decode=dict(type='CrossEntropyLoss'),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        val_evaluator=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
        **_loaders(
            [data('train', dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')),
             data('val')],
            batch_size,
        ),
    )  # fmt: skip


TASKS: dict[str, Callable[[Path, int], dict]] = dict(
    attribute=attribute_task, reid=reid_task, pose=pose_task, parsing=parsing_task
)


def tiny_config(
    data: Path,
    tasks: Sequence[str] = ALL,
    batch_size: int = 4,
    num_workers: int = 0,
    **options: Any,
) -> Config:
    """A complete config of a run on the data that :func:`write_data` wrote.

    Args:
        data: Folder of the data.
        tasks: Names of the tasks, in order.
        batch_size: Samples of a task step and process.
        num_workers: Of the dataloaders for training.
        **options: Values for keys of the config, with ``__`` for a dot.
    """
    parts = {task: TASKS[task](data, batch_size) for task in tasks}
    for part in parts.values():
        part['train_dataloader']['num_workers'] = num_workers
    cfg = Config(
        dict(
            default_scope='mmgradsplit',
            custom_imports=dict(imports=['mmgradsplit'], allow_failed_imports=False),
            model=dict(
                type='MultiTaskModel',
                backbone=dict(
                    type='mmpretrain.ResNet',
                    depth=18,
                    base_channels=8,
                    stem_channels=8,
                    norm_cfg=GN,
                    out_indices=(3,),
                ),
                tasks={task: part['model'] for task, part in parts.items()},
            ),
            train_dataloader={task: part['train_dataloader'] for task, part in parts.items()},
            val_dataloader={task: part['val_dataloader'] for task, part in parts.items()},
            val_evaluator={task: part['val_evaluator'] for task, part in parts.items()},
            train_cfg=dict(
                type='RoundRobinTrainLoop', max_epochs=2, iters_per_epoch=3, val_interval=1
            ),
            val_cfg=dict(type='MultiTaskValLoop'),
            optim_wrapper=dict(
                type='GradSplitOptimWrapper',
                optimizer=dict(type='Adam', lr=0.001, weight_decay=1e-4),
                relations='none',
                modules=['layer4'],
            ),
            param_scheduler=[dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, end=6)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(type='AtomicCheckpointHook', interval=1),
            ),
            env_cfg=dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)),
            find_unused_parameters=True,
            randomness=dict(seed=0),
            visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
            log_level='WARNING',
            load_from=None,
            resume=False,
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    return cfg


_runs = iter(range(10**9))


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Leave out what takes mmengine a part of a second a run: asking for compilers."""
    with mock.patch('mmengine.runner.runner.collect_env', dict):
        yield


def named(cfg: Config) -> Config:
    """Give the run a name of its own; mmengine keeps log, message hub and pictures by name."""
    cfg.experiment_name = f'run_{os.getpid()}_{next(_runs)}'
    return cfg


def run(cfg: Config, work_dir: Path, **options: Any) -> Runner:
    """Train in this process."""
    with quick():
        return train(named(cfg), work_dir=work_dir, **options)


def build(cfg: Config, work_dir: Path) -> Runner:
    """The runner, nothing trained."""
    with quick():
        prepared = prepare(named(cfg), work_dir)
        check(prepared, ['train', *(['val'] if prepared.get('val_cfg') is not None else [])])
        return ScreenRunner.from_cfg(prepared)


def fails_before_the_first_step(
    cfg: Config, work_dir: Path, error: type[Exception], message: str
) -> None:
    """Assert that a training ends in this error before anything is trained."""

    def train_step(batch: dict, optim_wrapper: object) -> None:
        raise AssertionError('no step was to be taken')

    with pytest.raises(error, match=message):
        runner = build(cfg, work_dir)
        runner.model.train_step = train_step
        runner.train()


def scalars(work_dir: Path) -> list[dict]:
    """What LocalVisBackend logged, one dict a line."""
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same(ours: Any, theirs: Any, path: str = '') -> None:
    """Nested dicts and lists of tensors and numbers, bit for bit."""
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), path
        for key in ours:
            assert_same(ours[key], theirs[key], f'{path}.{key}')
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), path
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f'{path}.{i}')
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), path
    else:
        assert ours == theirs, path


def load(path: Path) -> dict:
    return torch.load(path, weights_only=False, map_location='cpu')


# ---- processes that are killed ----


@HOOKS.register_module(force=True)
class FrozenNormsHook(Hook):
    """Keeps batch norms in evaluation mode: no statistics of the batch of one process."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Kills its own process, ``delay`` seconds after iteration ``iteration`` has begun."""

    def __init__(self, iteration: int, delay: float) -> None:
        self.iteration = iteration
        self.delay = delay

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter >= self.iteration:
            threading.Timer(self.delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
            self.iteration = 10**9


@HOOKS.register_module(force=True)
class KillWhileWritingHook(Hook):
    """Kills its own process when half of the ``number``-th checkpoint is written."""

    def __init__(self, number: int) -> None:
        self.left = number

    def before_run(self, runner: Runner) -> None:
        def die(file: int) -> None:
            self.left -= 1
            if self.left == 0:
                os.ftruncate(file, os.fstat(file).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = die  # called when all is written; nothing but a kill undoes it


def in_child(function: Callable[[], Any], timeout: float = 120) -> int:
    """Run in a forked process, which has imported everything already; -9 if it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f'the child ran for more than {timeout} s')
