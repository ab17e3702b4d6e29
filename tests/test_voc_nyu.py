"""Partially annotated mixture: boxes of VOC files, labels and depth of NYUv2 files, round-robin."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.nn import functional

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import METRICS, MODELS

from .fixtures_dense import ROOT, write_nyud
from .fixtures_training import run, scalars

SIDE = 128
NYU = (96, 128)  # height and width; 480 x 640 at a fifth
NAMES = ('detection/pascal_voc/mAP', 'seg/mIoU', 'depth/delta1')
OBJECT = """<object><name>{name}</name><difficult>0</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


def write_voc(root: Path) -> Path:
    """VOCdevkit with two pictures a year and split: a dark dog or a bright train on grey."""
    rng = np.random.default_rng(0)
    for year in (2007, 2012):
        folder = root / f'VOC{year}'
        for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
            (folder / part).mkdir(parents=True)
        for split in ('trainval', 'test'):
            names = [f'{split}{i}' for i in range(2)]
            for i, name in enumerate(names):
                picture = np.full((100, 160, 3), 128, np.uint8)
                x, y = int(rng.integers(5, 60)), int(rng.integers(5, 25))
                picture[y : y + 60, x : x + 90] = 255 * i
                assert cv2.imwrite(str(folder / 'JPEGImages' / f'{name}.jpg'), picture)
                thing = OBJECT.format(x + 1, y + 1, x + 90, y + 60, name=('dog', 'train')[i])
                (folder / 'Annotations' / f'{name}.xml').write_text(
                    f'<annotation><size><width>160</width><height>100</height></size>'
                    f'{thing}</annotation>'
                )
            (folder / 'ImageSets/Main' / f'{split}.txt').write_text('\n'.join(names) + '\n')
    return root


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    write_voc(folder / 'VOCdevkit')
    write_nyud(folder / 'nyud_mt', number=4, size=NYU)
    return folder


def tiny(name: str, data: Path) -> Config:
    """A config of configs/amtl on the tiny data, at a fifth of the size, by EfficientNetV2-B0."""
    cfg = Config.fromfile(ROOT / 'configs' / 'amtl' / f'{name}.py')
    preprocessor = dict(data_preprocessor=dict(size=(SIDE, SIDE), test_cfg=dict(size=(SIDE, SIDE))))
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                backbone=dict(arch='b0', drop_path_rate=0.0, init_cfg=None),
                neck=dict(in_channels=[112, 192]),
            ),
            'model.tasks': dict(seg=preprocessor, depth=preprocessor),
            'train_cfg': dict(max_epochs=3, iters_per_epoch=1),
            'default_hooks': dict(
                logger=dict(interval=1), checkpoint=dict(interval=100, save_best=None)
            ),
            'custom_hooks': [],
            'visualizer.vis_backends': [dict(type='LocalVisBackend')],
            'log_processor.window_size': 1,
        }
    )
    for loaders in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for task, loader in loaders.items():
            loader.update(batch_size=2, num_workers=0)
            for part in loader.dataset.get('datasets', [loader.dataset]):
                part.data_root = str(data / Path(part.data_root).name)
                for step in part.pipeline:
                    if step['type'].endswith('Resize'):
                        step['scale'] = (SIDE, SIDE if task == 'detection' else NYU[0])
    return cfg


def test_amtl_trains_three_tasks_of_two_data_sets(data: Path, tmp_path: Path) -> None:
    cfg = tiny('efficientdet_voc_nyu', data)
    cfg.param_scheduler[1].patience = 0
    runner = run(cfg, tmp_path)
    logged = scalars(tmp_path)
    steps = [line for line in logged if 'detection/loss' in line]
    rounds = [line for line in logged if NAMES[0] in line]
    assert len(steps) == 3
    assert len(rounds) == 3
    losses = ('detection/loss_cls', 'detection/loss_bbox', 'seg/decode.loss_ce')
    for line in steps:
        for name in (*losses, 'depth/decode.loss_regression'):
            assert 0 < line[name] < 1000
    for line in rounds:
        assert all(0 <= line[name] <= 100 for name in NAMES)
        assert {'depth/rmse', 'acc_mtl', 'delta_m'} <= set(line)

    # Uniform before the first validation; then the formula, of accuracies and potentials.
    weights = [[line[f'weight/{name.split("/")[0]}'] for name in NAMES] for line in steps]
    assert weights[0] == pytest.approx([1 / 3] * 3)
    references = cfg.val_cfg.references
    raw = [math.exp((1 - rounds[0][name] / (1.05 * references[name])) ** 2) for name in NAMES]
    assert weights[1] == pytest.approx([value / sum(raw) for value in raw], rel=1e-5)

    # Warm-up, then a tenth: finding no box, it has an acc_mtl of 0 after epoch 2 as after epoch 1.
    assert [line['acc_mtl'] for line in rounds] == [0.0] * 3
    assert [line['lr'] for line in steps] == pytest.approx([1e-7, 1e-4, 1e-5])

    # Every parameter is trained but those of the layer behind the last features that are read.
    wrapper = runner.optim_wrapper
    moments = wrapper.optim_wrappers['shared'].optimizer.state
    still = {
        name
        for param, name in wrapper.names.items()
        if param not in moments or not moments[param]['exp_avg'].any()
    }
    unread = {name for name in wrapper.names.values() if name.startswith('backbone.backbone.')}
    assert still == {name for name in unread if name.split('.')[3] == '7'}


def test_padding_is_not_trained_on(data: Path) -> None:
    cfg = prepare(tiny('uniform_efficientdet_voc_nyu', data), work_dir='unused')
    init_default_scope('mmgradsplit')
    model = MODELS.build(cfg.model).eval()
    for task in ('seg', 'depth'):
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader[task], seed=0)))
        batch = model.data_preprocessor(dict(batch, task=task), training=True)
        inputs, samples = batch['inputs'], batch['data_samples']
        assert inputs.shape == (2, 3, SIDE, SIDE)
        assert not inputs[:, :, NYU[0] :].any()
        with torch.no_grad():
            losses = model(inputs, samples, mode='loss', task=task)
            values = model(inputs, None, mode='tensor', task=task)
        assert values.shape[2:] == (SIDE // 16, SIDE // 16)
        values = functional.interpolate(values, inputs.shape[2:], mode='bilinear')[:, :, : NYU[0]]
        if task == 'seg':
            labels = torch.cat([sample.gt_sem_seg.data for sample in samples])[:, : NYU[0]]
            expected = functional.cross_entropy(values, labels.long(), ignore_index=255)
            assert losses['decode.loss_ce'].item() == pytest.approx(expected.item(), rel=1e-5)
        else:
            depths = torch.stack([sample.gt_depth_map.data for sample in samples])[:, :, : NYU[0]]
            expected = (values - depths).abs().mean()
            found = losses['decode.loss_regression'].item()
            assert found == pytest.approx(expected.item(), rel=1e-5)


def test_a_detector_finds_drawn_things(data: Path) -> None:
    """On another backbone, which is faster, and whose norms have nothing to get used to."""
    options = dict(tasks=['detection'])
    cfg = prepare(tiny('uniform_efficientdet_voc_nyu', data), 'unused', options)
    norm = dict(type='GN', num_groups=8)
    cfg.model.backbone.backbone = dict(
        type='mmpretrain.ResNet',
        depth=18,
        base_channels=16,
        stem_channels=16,
        norm_cfg=norm,
        out_indices=(2, 3),
    )
    cfg.model.backbone.neck.update(in_channels=[64, 128], norm_cfg=norm)
    init_default_scope('mmgradsplit')
    model = MODELS.build(cfg.model)
    model.init_weights()
    cfg.optim_wrapper.optimizer.lr = 2e-3
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    cfg.train_dataloader.detection.batch_size = 4  # all pictures
    train = Runner.build_dataloader(cfg.train_dataloader.detection, seed=0)
    for _ in range(50):
        (batch,) = train
        wrapper.begin_step(['detection'], True)
        model.train_step(dict(batch, task='detection'), wrapper)

    val = Runner.build_dataloader(cfg.val_dataloader.detection)
    evaluator = Evaluator(METRICS.build(cfg.val_evaluator.detection))
    evaluator.dataset_meta = val.dataset.metainfo
    model.eval()
    with torch.no_grad():
        for batch in val:
            evaluator.process(model.val_step(dict(batch, task='detection')), batch)
    assert evaluator.evaluate(len(val.dataset))['pascal_voc/mAP'] == pytest.approx(100)
