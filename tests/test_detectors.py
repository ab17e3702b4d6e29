"""Detectors train without compiled ops of mmcv: mmdet's own as a task, and the project's configs.

tests/test_voc_nyu.py and tests/test_add_a_task.py train the others.
"""

import json
import math
from pathlib import Path

import pytest
from fixtures_detection import write_coco
from fixtures_training import run, scalars, tiny_config, write_data
from mmdet.datasets import CityscapesDataset
from mmengine.config import Config, ConfigDict

ROOT = Path(__file__).resolve().parent.parent
SIDE = 96


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of one person each; the names are those of Cityscapes, the first COCO's too."""
    return write_coco(tmp_path_factory.mktemp('coco'), *CityscapesDataset.METAINFO['classes'])


def small(loader: ConfigDict, coco: Path) -> ConfigDict:
    """The loader of a config of mmdet's on the tiny pictures, two a batch."""
    loader.pop('persistent_workers', None)
    loader.update(batch_size=2, num_workers=0, batch_sampler=None)
    dataset = loader.dataset.get('dataset', loader.dataset)  # what is repeated
    dataset.update(_scope_='mmdet', data_root=str(coco), ann_file='coco.json')
    dataset.data_prefix = dict(img='images/')
    for step in dataset.pipeline:
        if 'Resize' in step.type:
            step.update(type='Resize', scale=(SIDE, SIDE))
    return loader


@pytest.mark.gpu(alone=False)
@pytest.mark.parametrize(
    ('config', 'names'),
    [
        ('retinanet/retinanet_r50_fpn_1x_coco.py', ('cls', 'bbox')),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', ('cls', 'bbox', 'centerness')),
        ('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', ('rpn_cls', 'rpn_bbox', 'bbox', 'mask')),
    ],
)
def test_a_detector_of_mmdets_trains_beside_another_task(
    config: str, names: tuple[str, ...], coco: Path, tmp_path: Path, stand_in: None
) -> None:
    (tmp_path / 'theirs.py').write_text(f"_base_ = 'mmdet::{config}'")
    theirs = Config.fromfile(tmp_path / 'theirs.py')
    theirs.model.pop('backbone')
    theirs.model.type = f'mmdet.{theirs.model.type}'
    theirs.model.neck.in_channels = [8, 16, 32, 64]
    data = write_data(tmp_path / 'data', 4)
    cfg = tiny_config(data, ['attribute'], batch_size=2, model__backbone__out_indices=(0, 1, 2, 3))
    cfg.model.tasks.detection = theirs.model
    for key in ('train_dataloader', 'val_dataloader'):
        cfg[key].detection = small(theirs[key], coco)
    ann_file = str(coco / 'coco.json')
    cfg.val_evaluator.detection = dict(
        theirs.val_evaluator, type='mmdet.CocoMetric', ann_file=ann_file
    )
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=2)
    # An untrained detector finds nothing, of which mmdet's metric measures nothing.
    cfg.val_cfg.references = {'attribute/MA': 50.0, 'detection/coco/bbox_mAP': 0.4}
    cfg.default_hooks.checkpoint.save_best = 'detection/coco/bbox_mAP'
    test_cfg = cfg.model.tasks.detection.test_cfg
    test_cfg.get('rcnn', test_cfg).score_thr = 0.99
    cfg.custom_hooks = [dict(type='SummaryHook')]
    runner = run(cfg, tmp_path / 'run')
    assert runner.iter == 2
    lines = [line for line in scalars(tmp_path / 'run') if 'detection/loss' in line]
    assert len(lines) == 2
    for line in lines:
        for name in (*(f'detection/loss_{name}' for name in names), 'attribute/loss'):
            assert 0 < line[name] < math.inf
    untrained = json.loads((tmp_path / 'run/summary.json').read_text())['untrained']
    assert untrained['detection/coco/bbox_mAP'] == 0
    assert untrained['delta_m'] == pytest.approx(-50 + untrained['attribute/MA'] - 50)


@pytest.mark.gpu(alone=False)
@pytest.mark.parametrize('name', ['coco', 'cityscapes'])
def test_mask_rcnn_with_allocations_trains(
    name: str, coco: Path, tmp_path: Path, stand_in: None
) -> None:
    cfg = Config.fromfile(ROOT / f'configs/sta/mask_rcnn_r50_fpn_1x_{name}.py')
    cfg.model.backbone.update(depth=18, init_cfg=None)
    cfg.model.neck.in_channels = [64, 128, 256, 512]
    small(cfg.train_dataloader, coco)
    if name == 'cityscapes':
        cfg.train_dataloader.dataset.times = 1
    for key in ('dataloader', 'evaluator', 'cfg'):
        cfg[f'val_{key}'] = cfg[f'test_{key}'] = None
    cfg.train_cfg.max_epochs = 1
    cfg.load_from, cfg.randomness = None, dict(seed=0)  # with which both tasks are allocated
    cfg.visualizer.pop('name')  # mmengine would go on with the visualizer of that name
    cfg.default_hooks.logger.interval = 1
    runner = run(cfg, tmp_path)
    assert runner.iter == 2
    lines = [line for line in scalars(tmp_path) if 'loss' in line]
    assert len(lines) == 2
    for key in ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_mask'):
        values = [line[key] for line in lines if key in line]
        assert values and all(0 < value < math.inf for value in values)
