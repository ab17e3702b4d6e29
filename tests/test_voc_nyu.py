"""Partially annotated mixture: boxes and labels of VOC files, depth of NYUv2 files."""

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fixtures_ranks import on_two_ranks
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch.nn import functional

from mmgradsplit.apis import load_model
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import DATASETS, METRICS, MODELS, TRANSFORMS

from .fixtures_dense import ROOT
from .fixtures_training import (
    assert_same,
    build,
    fails_before_the_first_step,
    load,
    run,
    scalars,
)

SIDE = 128
NYU = (96, 128)  # height and width; 480 x 640 at a fifth
NAMES = ('detection/pascal_voc/mAP', 'seg/mIoU', 'depth/delta1')
TASKS = ('detection', 'seg', 'depth')
# Samples of the joined training set: all of VOC's have boxes, every second one has labels.
SIZES = dict(detection=4, seg=2, depth=4)
OBJECT = """<object><name>{name}</name><difficult>0</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""
# Lists of each year: split -> names of Main, and of Segmentation, whose images have label maps.
LISTS = {
    2007: {'trainval': ('trainval', 'trainval'), 'test': ('test', 'test')},
    2012: {'trainval': ('trainvalsegdet', 'trainaug'), 'val': (None, 'val')},
}
CLASSES = dict(dog=12, train=19)  # of PASCAL VOC with background


def write_voc(root: Path) -> Path:
    """VOCdevkit with two pictures a year and split: a dark dog or a bright train on grey."""
    rng = np.random.default_rng(0)
    for year, splits in LISTS.items():
        folder = root / f'VOC{year}'
        labels = dict(SegmentationClass='P', SegmentationClassAug='L')
        if year == 2007:
            labels.popitem()
        lists = ('ImageSets/Main', 'ImageSets/Segmentation')
        for part in ('JPEGImages', 'Annotations', *lists, *labels):
            (folder / part).mkdir(parents=True)
        for split, (main, segmentation) in splits.items():
            names = [f'{split}{i}' for i in range(2)]
            for i, name in enumerate(names):
                picture = np.full((100, 160, 3), 128, np.uint8)
                x, y = int(rng.integers(5, 60)), int(rng.integers(5, 25))
                picture[y : y + 60, x : x + 90] = 255 * i
                assert cv2.imwrite(str(folder / 'JPEGImages' / f'{name}.jpg'), picture)
                what = ('dog', 'train')[i]
                thing = OBJECT.format(x + 1, y + 1, x + 90, y + 60, name=what)
                (folder / 'Annotations' / f'{name}.xml').write_text(
                    f'<annotation><size><width>160</width><height>100</height></size>'
                    f'{thing}</annotation>'
                )
                if i == 0:
                    continue
                pixels = np.zeros((100, 160), np.uint8)
                pixels[y : y + 60, x : x + 90] = CLASSES[what]
                pixels[:5] = 255
                for kind, mode in labels.items():
                    image = Image.fromarray(pixels, 'L')
                    if mode == 'P':
                        image.putpalette(list(range(255, -1, -1)) * 3)
                    image.save(folder / kind / f'{name}.png')
            labelled = names[1:] if split != 'val' else names
            if split == 'val':
                (folder / 'SegmentationClass/val0.png').write_bytes(
                    (folder / 'SegmentationClass/val1.png').read_bytes()
                )
            for name, listed, of in zip(
                lists, (main, segmentation), (names, labelled), strict=True
            ):
                if listed:
                    (folder / name / f'{listed}.txt').write_text('\n'.join(of) + '\n')
    return root


def write_nyu(root: Path) -> Path:
    """Frames with depth in millimetres, 16 bits, in mmseg's folders."""
    rng = np.random.default_rng(1)
    for split, number in (('train', SIZES['depth']), ('test', 2)):
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for i in range(number):
            picture = rng.integers(0, 256, (*NYU, 3), dtype=np.uint8)
            depth = rng.integers(500, 9000, NYU).astype(np.uint16)
            assert cv2.imwrite(str(root / 'images' / split / f'room_{i}.jpg'), picture)
            assert cv2.imwrite(str(root / 'annotations' / split / f'room_{i}.png'), depth)
    return root


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('data')
    write_voc(folder / 'VOCdevkit')
    write_nyu(folder / 'nyu')
    return folder


def parts(dataset: dict) -> list[dict]:
    return dataset.get('datasets', [dataset])


def shrink(step: dict) -> None:
    """A step of a pipeline at a fifth of the size."""
    for inner in step.get('transforms', ()):
        shrink(inner)
    if 'scale' in step:
        step['scale'] = (SIDE, step['scale'][1] // 5)
    if 'crop_size' in step:
        step['crop_size'] = (SIDE, SIDE)


def tiny(name: str, data: Path, small: bool = False) -> Config:
    """A config of configs/amtl on the tiny data, at a fifth of the size, by EfficientNetV2-B0.

    Args:
        name: Name of the config.
        data: Folder of the data.
        small: Whether to take a ResNet instead, which is faster and has no batch norms.
    """
    cfg = Config.fromfile(ROOT / 'configs' / 'amtl' / f'{name}.py')
    square = dict(data_preprocessor=dict(size=(SIDE, SIDE), test_cfg=dict(size=(SIDE, SIDE))))
    cfg.merge_from_dict(
        {
            'model.backbone': dict(
                backbone=dict(arch='b0', drop_path_rate=0.0, init_cfg=None),
                neck=dict(in_channels=[112, 192]),
            ),
            'model.tasks': dict.fromkeys(TASKS, square),
            'train_cfg': dict(max_epochs=2),
            'default_hooks': dict(
                logger=dict(interval=1), checkpoint=dict(interval=100, save_best=None)
            ),
            'custom_hooks': [hook for hook in cfg.custom_hooks if hook['type'] == 'EMAHook'],
            'visualizer.vis_backends': [dict(type='LocalVisBackend')],
            'log_processor.window_size': 1,
        }
    )
    if small:
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
        cfg.model.tasks.seg.decode_head.norm_cfg = norm
        cfg.model.tasks.depth.decode_head.head.norm_cfg = norm
    # Each threshold starts processes.
    cfg.val_evaluator.detection.iou_thrs = cfg.test_evaluator.detection.iou_thrs = [0.5]
    if 'iters_per_epoch' in cfg.train_cfg:
        cfg.train_cfg.iters_per_epoch = 1
    for loaders in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for loader in [loaders] if 'dataset' in loaders else loaders.values():
            loader.update(batch_size=2, num_workers=0)
            for part in parts(loader.dataset):
                part.data_root = str(data / part.data_root.removeprefix('data/'))
                for step in part.pipeline:
                    shrink(step)
    return cfg


def without_chance(cfg: Config) -> Config:
    """Nothing of the pictures is drawn by chance."""
    cfg = cfg.copy()
    loaders = cfg.train_dataloader
    for loader in [loaders] if 'dataset' in loaders else loaders.values():
        for part in parts(loader.dataset):
            chance = ('Random', 'PhotoMetric', 'mmseg.PhotoMetric')
            part.pipeline = [
                step
                for step in part.pipeline
                if not step['type'].removeprefix('mmseg.').startswith(chance)
            ]
    return cfg


def seen_by(runner: Runner) -> list[dict[str, int]]:
    """The list to which each step will add its samples by task."""
    seen: list[dict[str, int]] = []
    step = runner.model.train_step

    def train_step(batch: dict, optim_wrapper: Any) -> dict:
        counts = batch['allocation'].sum(0).tolist()
        seen.append(dict(zip(TASKS, counts, strict=True), samples=len(batch['data_samples'])))
        return step(batch, optim_wrapper)

    runner.model.train_step = train_step
    return seen


def test_amtl_trains_three_tasks_of_joined_data_sets(data: Path, tmp_path: Path) -> None:
    cfg = tiny('efficientdet_voc_nyu', data)
    cfg.param_scheduler[1].patience = 0
    runner = build(cfg, tmp_path)
    seen = seen_by(runner)
    runner.train()

    # Batches have two samples, and tasks as many of them as chance will have it: all in an epoch.
    assert all(step['samples'] == 2 for step in seen)
    assert len(seen) == 2 * 4
    for epoch in range(2):
        steps = seen[4 * epoch : 4 * epoch + 4]
        assert {task: sum(step[task] for step in steps) for task in TASKS} == SIZES
    assert len({step['depth'] for step in seen}) > 1

    logged = scalars(tmp_path)
    steps = [line for line in logged if 'loss' in line]
    rounds = [line for line in logged if NAMES[0] in line]
    assert len(rounds) == 2
    for line in steps:
        assert 0 < line['loss'] < 1000
    losses = ('detection/loss_cls', 'detection/loss_bbox', 'seg/decode.loss_ce')
    for name in (*losses, 'depth/decode.loss_regression'):
        assert all(0 < line[name] < 1000 for line in steps[4:])
    for line in rounds:
        assert all(0 <= line[name] <= 100 for name in NAMES)
        assert {'depth/rmse', 'acc_mtl', 'delta_m', 'detection/pascal_voc/AP50'} <= set(line)

    # Uniform before the first validation; then the formula, of accuracies and potentials.
    weights = [[line[f'weight/{task}'] for task in TASKS] for line in steps]
    assert weights[0] == pytest.approx([1 / 3] * 3)
    references = cfg.val_cfg.references
    raw = [math.exp((1 - rounds[0][name] / (1.05 * references[name])) ** 2) for name in NAMES]
    assert weights[4] == pytest.approx([value / sum(raw) for value in raw], rel=1e-5)

    # Every parameter is trained but those of the layer behind the last features that are read.
    base = runner.optim_wrapper.base.optimizer
    still = {
        name
        for name, param in runner.model.named_parameters()
        if param not in base.state or not base.state[param]['exp_avg'].any()
    }
    names = [name for name, _ in runner.model.named_parameters()]
    assert still == {name for name in names if '.backbone.layers.7' in name}


def test_a_resumed_run_is_the_same(data: Path, tmp_path: Path) -> None:
    """AMTL, its moving average and the joined stream, from the middle of an epoch and its end."""
    cfg = tiny('efficientdet_voc_nyu', data, small=True)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1)
    run(cfg, tmp_path / 'whole')
    for iteration in (3, 4):
        folder = tmp_path / str(iteration)
        run(cfg, folder, resume=tmp_path / f'whole/iter_{iteration}.pth')
        ours, theirs = (load(place / 'iter_8.pth') for place in (folder, tmp_path / 'whole'))
        for key in ('state_dict', 'ema_state_dict', 'optimizer'):
            assert_same(ours[key], theirs[key], key)
    # What the inference names classes by.
    metas = load_model(cfg, tmp_path / 'whole/iter_8.pth', 'cpu').dataset_meta
    assert metas['detection']['classes'][0] == metas['seg']['classes'][1] == 'aeroplane'
    assert metas['seg']['classes'][0] == 'background' and 'depth' not in metas


def rank_config(data: Path, batch_size: int) -> Config:
    """Tasks whose losses are means over the samples; a detector's is one over its rank's boxes."""
    cfg = tiny('uniform_efficientdet_voc_nyu', data, small=True)
    cfg.tasks = ['seg', 'depth']
    cfg.model.tasks.seg.decode_head.loss_decode.avg_non_ignore = False
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01, momentum=0.9)
    cfg.param_scheduler = None
    cfg.custom_hooks = []
    cfg.train_dataloader.batch_size = batch_size
    cfg.train_cfg.update(max_epochs=1, val_begin=2)
    cfg.default_hooks.checkpoint.interval = 1
    return cfg


def test_two_processes_equal_one(data: Path, tmp_path: Path) -> None:
    run(rank_config(data, 4), tmp_path / 'one')

    def train_rank(rank: int, folder: Path) -> None:
        run(rank_config(data, 2), folder, launcher='pytorch')

    on_two_ranks(train_rank, tmp_path / 'two')
    one, two = (load(tmp_path / name / 'epoch_1.pth')['state_dict'] for name in ('one', 'two'))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_labels_of_both_toolboxes(data: Path) -> None:
    """VOC's palettes by mmdet in the joined set, as by mmseg alone; and where there are none."""
    init_default_scope('mmgradsplit')
    joined = without_chance(tiny('uniform_efficientdet_voc_nyu', data)).train_dataloader.dataset
    alone = without_chance(tiny('uniform_efficientdet_voc_nyu_round_robin', data)).train_dataloader
    joined, labels = DATASETS.build(joined), DATASETS.build(alone.seg.dataset)
    boxes = DATASETS.build(alone.detection.dataset)
    assert len(joined) == 8 and len(labels) == 2 and len(boxes) == 4
    square = prepare(tiny('uniform_efficientdet_voc_nyu', data), 'x').model.tasks.seg
    preprocessor = MODELS.build(square.data_preprocessor)
    fields = dict(detection='gt_instances', seg='gt_sem_seg', depth='gt_depth_map')
    found = []
    for index in range(len(joined)):
        raw = joined[index]
        batch = preprocessor(dict(inputs=[raw['inputs']], data_samples=[raw['data_samples']]), True)
        (sample,) = batch['data_samples']
        assert batch['inputs'].shape == (1, 3, SIDE, SIDE)
        assert sample.metainfo['pad_shape'] == (SIDE, SIDE)
        found.append({task for task, field in fields.items() if field in sample})
        if 'seg' in found[-1]:
            expected = labels[index // 2]['data_samples'].gt_sem_seg.data
            assert torch.equal(sample.gt_sem_seg.data, expected)
            assert sample.gt_sem_seg.data.dtype == torch.int64
            assert set(expected.unique().tolist()) == {0, CLASSES['train'], 255}
        if 'detection' in found[-1]:
            expected = boxes[index]['data_samples'].gt_instances.bboxes.tensor
            assert torch.equal(sample.gt_instances.bboxes, expected)
    assert found == [{'detection'}, {'detection', 'seg'}] * 2 + [{'depth'}] * 4


def test_label_maps_that_are_nowhere(data: Path) -> None:
    find = TRANSFORMS.build(dict(type='FindLabelMap', folder='../Labels'))
    with pytest.raises(FileNotFoundError, match=r"FindLabelMap\.folder: no folder '.*/Labels'"):
        find(dict(img_path=str(data / 'VOCdevkit/VOC2007/JPEGImages/test1.jpg')))


@pytest.mark.parametrize(
    ('form', 'key'), [('', 'datasets.2'), ('_round_robin', 'detection.dataset.datasets.1')]
)
def test_a_part_that_is_nowhere(form: str, key: str, data: Path, tmp_path: Path) -> None:
    cfg = tiny(f'uniform_efficientdet_voc_nyu{form}', data)
    of = cfg.train_dataloader
    part = parts(of.detection.dataset)[1] if form else parts(of.dataset)[2]
    part.data_root = 'data/nowhere'
    words = rf"{re.escape(key)}\.data_root: no folder 'data/nowhere'"
    fails_before_the_first_step(cfg, tmp_path, FileNotFoundError, words)


@pytest.mark.parametrize('form', ['', '_round_robin'])
def test_padding_is_not_trained_on(data: Path, form: str) -> None:
    cfg = without_chance(tiny(f'uniform_efficientdet_voc_nyu{form}', data))
    cfg = prepare(cfg, work_dir='unused')
    init_default_scope('mmgradsplit')
    model = MODELS.build(cfg.model).eval()
    loaders = cfg.train_dataloader
    config = loaders.depth.dataset if form else loaders.dataset.datasets[2]
    raw = [DATASETS.build(config)[index] for index in range(2)]
    batch = {key: [each[key] for each in raw] for key in ('inputs', 'data_samples')}
    batch = model.data_preprocessor(dict(batch, task='depth'), training=True)
    inputs, samples = batch['inputs'], batch['data_samples']
    assert inputs.shape == (2, 3, SIDE, SIDE)
    assert not inputs[:, :, NYU[0] :].any()
    with torch.no_grad():
        losses = model(inputs, samples, mode='loss', task='depth')
        values = model(inputs, None, mode='tensor', task='depth')
    assert values.shape[2:] == (SIDE // 16, SIDE // 16)
    values = functional.interpolate(values, inputs.shape[2:], mode='bilinear')[:, :, : NYU[0]]
    depths = torch.stack([sample.gt_depth_map.data for sample in samples])[:, :, : NYU[0]]
    assert depths.min() >= 0.5 and depths.max() <= 9  # in metres
    expected = (values - depths).abs().mean()
    found = losses['decode.loss_regression'].item()
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_round_robin_with_a_rate(data: Path, tmp_path: Path) -> None:
    """Its three tasks in turn, by AMTL and one update a major iteration; or by rates."""
    cfg = tiny('uniform_efficientdet_voc_nyu_round_robin', data, small=True)
    cfg.train_cfg.max_epochs = 1
    run(cfg, tmp_path / 'summed', method='amtl')
    (first,) = [line for line in scalars(tmp_path / 'summed') if 'seg/decode.loss_ce' in line]
    assert {f'{task}/loss' for task in TASKS} <= set(first)
    cfg.train_dataloader.detection.repeat = 2
    cfg.optim_wrapper['update'] = 'step'
    runner = run(cfg, tmp_path / 'rates')
    assert runner.iter == 1


def test_a_detector_finds_drawn_things(data: Path) -> None:
    """On another backbone, which is faster, and whose norms have nothing to get used to."""
    cfg = without_chance(tiny('uniform_efficientdet_voc_nyu_round_robin', data, small=True))
    cfg = prepare(cfg, 'unused', dict(tasks=['detection']))
    init_default_scope('mmgradsplit')
    model = MODELS.build(cfg.model)
    model.init_weights()
    cfg.optim_wrapper.optimizer.lr = 2e-3
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    cfg.train_dataloader.detection.batch_size = 4  # all pictures
    train = Runner.build_dataloader(cfg.train_dataloader.detection, seed=0)
    for _ in range(70):
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
    found = evaluator.evaluate(len(val.dataset))
    assert found['pascal_voc/AP50'] == pytest.approx(100)
