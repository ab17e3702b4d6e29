"""Mask R-CNN with allocations, against mmdet's own."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from fixtures_ranks import on_two_ranks
from fixtures_training import assert_same, load, run, scalars
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from toy import assert_same_weights, begin, registered

from mmgradsplit.models import MultiTaskDistributedDataParallel
from mmgradsplit.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / 'shared/data/coco_sample'
SIDE = 96
DET = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox')


def small(cfg: Config) -> Config:
    """ResNet-18, narrow heads, and fewer proposals than are sampled: nothing is left to chance."""
    model = cfg.model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.update(in_channels=[64, 128, 256, 512], out_channels=32)
    model.rpn_head.update(in_channels=32, feat_channels=32)
    for extractor in (model.roi_head.bbox_roi_extractor, model.roi_head.mask_roi_extractor):
        extractor.out_channels = 32
    model.roi_head.bbox_head.update(in_channels=32, fc_out_channels=32)
    model.roi_head.mask_head.update(in_channels=32, conv_out_channels=32, num_convs=1)
    model.train_cfg.rpn_proposal.update(nms_pre=60, max_per_img=60)
    return cfg


def sta_config() -> Config:
    return small(Config.fromfile(ROOT / 'configs/sta/mask_rcnn_r50_fpn_1x_coco.py'))


def built(kind: str) -> nn.Module:
    init_default_scope('mmgradsplit')
    cfg = copy.deepcopy(sta_config().model)
    cfg.type = kind
    torch.manual_seed(0)
    model = MODELS.build(dict(cfg, _scope_='mmdet'))
    return model.train()


@pytest.fixture(scope='module')
def models() -> tuple[nn.Module, nn.Module]:
    ours, theirs = built('mmgradsplit.STAMaskRCNN'), built('mmdet.MaskRCNN')
    theirs.load_state_dict(ours.state_dict())  # the same names, too
    return ours, theirs


def batch(*numbers: int) -> dict[str, Any]:
    """Images of noise with one or two objects each."""
    inputs, samples = [], []
    for number in numbers:
        rng = np.random.default_rng(number)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), pad_shape=(SIDE, SIDE),
                batch_input_shape=(SIDE, SIDE), scale_factor=(1.0, 1.0),
            )
        )  # fmt: skip
        corners = rng.integers(0, SIDE // 2, (number % 2 + 1, 2))
        masks = np.zeros((len(corners), SIDE, SIDE), np.uint8)
        for mask, (x, y) in zip(masks, corners, strict=True):
            mask[y : y + 40, x : x + 30] = 1
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(np.hstack([corners, corners + [30, 40]]), dtype=torch.float32),
            labels=torch.tensor(rng.integers(0, 80, len(corners))),
            masks=BitmapMasks(masks, SIDE, SIDE),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
        inputs.append(torch.from_numpy(rng.normal(size=(3, SIDE, SIDE))).float())
        samples.append(sample)
    return dict(inputs=torch.stack(inputs), data_samples=samples)


def losses(model: nn.Module, data: dict[str, Any], **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(1)
    outputs = model(copy.deepcopy(data['inputs']), copy.deepcopy(data['data_samples']), 'loss',
                    **options)  # fmt: skip
    return {k: sum(v) if isinstance(v, list) else v for k, v in outputs.items()}


def gradients(model: nn.Module, found: dict[str, Tensor]) -> dict[str, Tensor | None]:
    model.zero_grad()
    sum(value for key, value in found.items() if 'loss' in key).backward()
    return {name: param.grad for name, param in model.named_parameters()}


def allocation(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, dtype=bool)


def test_with_all_tasks_for_all_images_it_is_mmdets_own(models: tuple) -> None:
    data = batch(1, 2, 3)
    ours, theirs = (
        losses(model, data, **options)
        for model, options in zip(
            models, (dict(allocation=allocation((1, 1), (1, 1), (1, 1))), {}), strict=True
        )
    )
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    one, other = gradients(models[0], ours), gradients(models[1], theirs)
    same = [
        torch.equal(one[n], other[n]) if one[n] is not None else other[n] is None for n in other
    ]
    assert all(same) and len(one) == len(other)


BOTH = [(1, 1), (1, 1), (1, 1)]
SGD = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.01)


def step(model: nn.Module, wrapper: Any, data: dict[str, Any]) -> dict[str, Any]:
    """A training step, whose random numbers are the same each time."""
    torch.manual_seed(1)
    return model.train_step(copy.deepcopy(data), optim_wrapper=wrapper)


@pytest.mark.parametrize('kind', ['OptimWrapper', 'MultiTaskOptimWrapper'])
def test_the_tasks_losses_add_up_to_mmdets_own(models: tuple, kind: str) -> None:
    """Uniformly weighted, losses and weights after two steps are mmdet's bit for bit."""
    ours, theirs = copy.deepcopy(models)
    wrapper = registered(ours, kind, optimizer=SGD)
    begin(ours, wrapper, task_steps=False)
    plain = registered(theirs, 'OptimWrapper', optimizer=SGD)
    for number in (1, 4):
        data = batch(number, number + 1, number + 2)
        logs = step(ours, wrapper, dict(data, allocation=allocation(*BOTH)))
        expected = step(theirs, plain, data)
        assert torch.equal(logs['loss'], expected['loss'])
        assert torch.equal(logs['det/loss'] + logs['mask/loss'], expected['loss'])
        assert set(logs) == {*expected, 'det/loss', 'mask/loss'}
    assert_same_weights(ours, theirs)


def test_it_is_trained_by_a_weighting(models: tuple) -> None:
    """Uncertainty weighting is in the wrapper: the network has no more parameters than before."""
    model = copy.deepcopy(models[0])
    wrapper = registered(
        model, 'MultiTaskOptimWrapper', optimizer=SGD, weighting=dict(type='torchjd.UW')
    )
    begin(model, wrapper, task_steps=False)
    data = dict(batch(1, 2, 3), allocation=allocation((1, 0), (1, 1), (0, 1)))
    logs = step(model, wrapper, data)
    # 1/2 exp(-s) l + s/2 of each task, with s = 0.
    torch.testing.assert_close(logs['loss'], (logs['det/loss'] + logs['mask/loss']) / 2)
    (learned,) = wrapper.weighting.parameters()
    # One step of SGD along the derivative, 1/2 - l/2.
    losses = torch.stack([logs['det/loss'], logs['mask/loss']])
    torch.testing.assert_close(learned.detach(), 0.01 * (losses - 1) / 2)
    assert list(model.state_dict()) == list(models[1].state_dict())


def on_rank(rank: int, folder: Path) -> None:
    """Each rank has one image; a task has an image on both, on one, or on none."""
    dist.init_process_group('gloo')
    model = built('mmgradsplit.STAMaskRCNN')
    network = MultiTaskDistributedDataParallel(module=model, broadcast_buffers=False)
    wrapper = registered(
        network, 'MultiTaskOptimWrapper', optimizer=SGD, weighting=dict(type='torchjd.UW')
    )
    begin(network, wrapper, task_steps=False)
    found: list[dict[str, Tensor]] = []
    plain = wrapper.update_tasks

    def update_tasks(handed: dict[str, Tensor]) -> dict[str, Tensor]:
        found.append({task: loss.detach() for task, loss in handed.items()})
        return plain(handed)

    wrapper.update_tasks = update_tasks
    for given in PLACED:
        rows = allocation(*given)
        data = dict(batch(rank + 1), allocation=rows[rank : rank + 1], counts=rows.sum(0))
        step(network, wrapper, data)
    torch.save((found, model.state_dict(), wrapper.state_dict()), folder / f'{rank}.pt')


PLACED = [[(1, 0), (0, 1)], [(0, 0), (1, 0)], [(1, 1), (0, 1)], [(0, 1), (0, 1)]]


def test_two_ranks_hand_over_the_mean_over_the_ranks(tmp_path: Path) -> None:
    on_two_ranks(on_rank, tmp_path)
    found, weights, state = load(tmp_path / '0.pt')
    assert_same((found, weights, state), load(tmp_path / '1.pt'))
    assert [list(handed) for handed in found] == [
        ['det', 'mask'], ['det'], ['det', 'mask'], ['mask'],
    ]  # fmt: skip
    # The first step, from the first weights: a rank without images of a task adds nothing.
    model = built('mmdet.MaskRCNN')
    for rank, (task, names) in enumerate({'det': DET, 'mask': ('loss_mask',)}.items()):
        torch.manual_seed(1)
        prepared = model.data_preprocessor(batch(rank + 1), True)
        alone = losses(model, prepared)
        expected = sum(alone[name].mean() for name in names).detach() / 2
        torch.testing.assert_close(found[0][task], expected)


def test_an_image_has_only_its_allocated_losses(models: tuple) -> None:
    ours, theirs = models
    found = losses(ours, batch(1, 2, 3), allocation=allocation((1, 0), (0, 1), (0, 1)))
    det = losses(theirs, batch(1))
    mask = losses(theirs, batch(2, 3))
    for key in DET:
        torch.testing.assert_close(found[key], det[key], msg=key)
    torch.testing.assert_close(found['loss_mask'], mask['loss_mask'])


def test_a_task_without_an_image_leaves_its_head_alone(models: tuple) -> None:
    ours, _ = models
    data = batch(1, 2)
    found = losses(ours, data, allocation=allocation((1, 0), (1, 0)))
    assert 'loss_mask' not in found
    moved = {name.split('.')[1] for name, g in gradients(ours, found).items() if g is not None}
    assert 'bbox_head' in moved and 'mask_head' not in moved
    found = losses(ours, data, allocation=allocation((0, 1), (0, 1)))
    assert [key for key in found if 'loss' in key] == ['loss_mask']
    assert found['loss_mask'] > 0  # of proposals that were made all the same


def test_prediction_needs_no_allocation(models: tuple) -> None:
    ours, theirs = models
    losses(ours, batch(1, 2), allocation=allocation((1, 0), (0, 1)))
    ours.eval(), theirs.eval()
    data = batch(1, 2)
    with torch.no_grad():
        one, other = (m(data['inputs'], data['data_samples'], 'predict') for m in models)
    ours.train(), theirs.train()
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)


def test_heads_that_it_does_not_know() -> None:
    init_default_scope('mmgradsplit')
    cfg = sta_config().model
    cfg.roi_head.type = 'PointRendRoIHead'
    with pytest.raises(ValueError, match=r"model\.roi_head\.type is 'PointRendRoIHead'"):
        MODELS.build(dict(cfg, _scope_='mmdet'))
    cfg = sta_config().model
    cfg.roi_head.mask_roi_extractor = None
    with pytest.raises(ValueError, match='set mask_roi_extractor'):
        MODELS.build(dict(cfg, _scope_='mmdet'))


def test_synchronised_norms_are_refused_where_a_rank_may_have_no_image() -> None:
    model: Any = built('mmgradsplit.STAMaskRCNN')
    model.neck.fpn_convs[0] = nn.Sequential(model.neck.fpn_convs[0], nn.SyncBatchNorm(32))
    data = batch(1, 2)

    def learn(task: str) -> None:
        def loss(name: str) -> None:
            model.compute_losses(copy.deepcopy(data))

        before = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.exchanges.learn(model, loss, {task: True})
        assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())

    learn('det')  # norms of what all images go through
    assert model.exchanges.calls == {'det': []}
    head = model.roi_head.mask_head
    head.convs.append(nn.SyncBatchNorm(32))
    with pytest.raises(
        ValueError, match=r"'mask' exchanges .*norms \(roi_head.mask_head.convs.1\)"
    ):
        learn('mask')


@pytest.mark.skipif(not SAMPLE.is_dir(), reason='needs the COCO images of ../shared')
@pytest.mark.parametrize(('name', 'steps'), [('sta', 1), ('ista', 2)])
def test_the_config_trains_on_coco_images(name: str, steps: int, tmp_path: Path) -> None:
    cfg = sta_config()
    size = dict(type='Resize', scale=(128, 128), keep_ratio=True)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(SAMPLE), ann_file='test_coco.json', data_prefix=dict(img=''),
            filter_cfg=None,
        )  # fmt: skip
        loader.dataset.pipeline = [
            size if transform['type'] == 'Resize' else transform
            for transform in loader.dataset.pipeline
        ]
    cfg.train_dataloader.batch_sampler = None
    cfg.val_evaluator.ann_file = str(SAMPLE / 'test_coco.json')
    cfg.train_cfg.update(max_epochs=1)
    cfg.randomness = dict(seed=0)  # with which both tasks are allocated
    cfg.visualizer.pop('name')  # mmengine would go on with the visualizer of that name
    cfg.default_hooks.logger.interval = 1
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    runner = run(cfg, tmp_path, method=name)
    lines = [line for line in scalars(tmp_path) if 'loss' in line]
    assert len(lines) == 2
    seen = {key for line in lines for key in line}
    assert {'loss_rpn_cls', 'loss_cls', 'loss_mask'} <= seen
    assert runner.optim_wrapper.base.inner_count == 2 * steps


@pytest.mark.parametrize(
    ('name', 'steps_an_epoch', 'steps', 'fall'),
    [
        # detectron2: 24,000 steps of 8 images and a fall after 18,000; mmdet repeats the 2,975
        # images of Cityscapes eight times in an epoch. COCO: 90,000 of 16 and 60,000.
        ('cityscapes', 8 * 2975 / 8, 24000, 18000),
        ('coco', 117266 / 16, 90000, 60000),
    ],
)
def test_as_many_steps_as_the_baseline(
    name: str, steps_an_epoch: float, steps: int, fall: int
) -> None:
    for prefix, updates, kind in (('', 1, 'STA'), ('ista_', 2, 'ISTA')):
        cfg = Config.fromfile(ROOT / f'configs/sta/{prefix}mask_rcnn_r50_fpn_1x_{name}.py')
        assert cfg.train_cfg.allocator.type == f'mmgradsplit.{kind}'
        taken = cfg.train_cfg.max_epochs * steps_an_epoch * updates
        assert taken == pytest.approx(steps, rel=0.03)
        falls = cfg.param_scheduler[1]
        assert falls.end == cfg.train_cfg.max_epochs
        assert falls.milestones[0] * steps_an_epoch * updates == pytest.approx(fall, rel=0.03)
