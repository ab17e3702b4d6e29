"""AMTL's networks on NYUv2: against torchvision's DeepLabV3, and training on tiny files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_deeplab import deeplab_config
from fixtures_dense import write_nyud
from fixtures_training import run, scalars
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.functional import acc_mtl
from mmgradsplit.models import ASPPNeck
from mmgradsplit.registry import MODELS

FOLDER = Path(__file__).resolve().parents[2] / 'configs/amtl'
TASKS = ('seg', 'depth', 'normal')
NETWORKS = (
    'r50_deeplabv3_nyuv2', 'r50_deeplabv3plus_nyuv2', 'r50_deeplabv3_individual_nyuv2',
    'r50_deeplabv3plus_individual_nyuv2', 'mobilenetv2_deeplabv3plus_nyuv2',
    'efficientnetv2s_deeplabv3plus_nyuv2',
)  # fmt: skip


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nyud(tmp_path_factory.mktemp('nyud') / 'data')


def test_neck_and_head_are_torchvisions_deeplabv3() -> None:
    init_default_scope('mmgradsplit')
    cfg = Config.fromfile(FOLDER.parent / '_base_/models/deeplab_v3_individual.py').model.tasks.seg
    cfg.neck.in_channels = 6
    neck = MODELS.build(cfg.neck).eval()
    head = MODELS.build(dict(cfg.decode_head, _scope_='mmseg')).eval()
    theirs = DeepLabHead(6, 40).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (*module.parameters(), module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
    neck.aspp.load_state_dict(theirs[0].state_dict())
    head.convs[0].conv.load_state_dict(theirs[1].state_dict())
    head.convs[0].bn.load_state_dict(theirs[2].state_dict())
    head.conv_seg.load_state_dict(theirs[4].state_dict())
    features = [torch.rand(2, 3, 12, 16), torch.rand(2, 6, 12, 16)]
    with torch.no_grad():
        assert torch.equal(head(neck(features)), theirs(features[-1]))


def test_low_level_features_come_first_at_their_own_resolution() -> None:
    neck = ASPPNeck(8, 4, (1, 2), low_level=dict(index=1, in_channels=6, channels=5)).eval()
    features = [torch.rand(2, c, s, s) for c, s in ((3, 16), (6, 8), (8, 4))]
    with torch.no_grad():
        low, deep = neck(features)
        assert low.shape == (2, 5, 8, 8) and deep.shape == (2, 4, 4, 4)
        weight = neck.low_level.conv.weight[..., 0, 0]
        plain = torch.einsum('oi,nihw->nohw', weight, features[1]).relu()
    # A fresh norm divides by sqrt(1 + 1e-5).
    torch.testing.assert_close(low, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('dropout', 'same'), [(0.5, False), (0.0, True)])
def test_dropout_is_that_of_the_config(dropout: float, same: bool) -> None:
    neck = ASPPNeck(8, 4, (1,), dropout=dropout)
    features = [torch.rand(2, 8, 4, 4)]
    assert torch.equal(*(neck(features)[0] for _ in range(2))) is same


def test_wrong_keys_of_low_level_are_told() -> None:
    message = r"neck\.low_level must have the keys \['channels', 'in_channels', 'index'\].*'size'"
    with pytest.raises(ValueError, match=message):
        ASPPNeck(8, low_level=dict(index=0, in_channels=8, size=3))


@pytest.mark.parametrize('name', NETWORKS)
def test_predictions_have_an_eighth_of_the_image(name: str) -> None:
    """As Tables A and B count them; ASPP on maps of stride 32 is the small backbones'."""
    cfg = prepare(FOLDER / f'uniform_{name}.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).to('meta').eval()
    seen: set[torch.Size] = set()
    for module_name, module in model.named_modules():
        if module_name.endswith('neck.aspp'):
            module.register_forward_hook(lambda _, args, __: seen.add(args[0].shape[2:]))
    with torch.no_grad():
        outputs = model(torch.zeros(1, 3, 480, 640, device='meta'), None, mode='tensor')
    shapes = {task: tuple(output.shape[1:]) for task, output in outputs.items()}
    assert shapes == dict(seg=(40, 60, 80), depth=(1, 60, 80), normal=(3, 60, 80))
    assert seen == {(60, 80) if name.startswith('r50') else (15, 20)}


def test_small_backbones_are_those_of_amtls_code() -> None:
    """MobileNetV2's last layer has 1280 channels; ASPP's rates behind stride 32 are 6, 12, 18."""
    for name, channels in (('mobilenetv2', 1280), ('efficientnetv2s', 256)):
        cfg = prepare(FOLDER / f'uniform_{name}_deeplabv3plus_nyuv2.py')
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model).to('meta').eval()
        convs = [m for m in model.backbone.neck.aspp.modules() if isinstance(m, nn.Conv2d)]
        assert [conv.dilation[0] for conv in convs if conv.kernel_size == (3, 3)] == [6, 12, 18]
        assert convs[0].in_channels == channels
        assert model.backbone.neck.low_level.conv.out_channels == 48
        with torch.no_grad():
            features = model.backbone.backbone(torch.zeros(1, 3, 480, 640, device='meta'))
        assert [tuple(of.shape[2:]) for of in features] == [(60, 80), (15, 20)]
        assert features[-1].shape[1] == channels


def test_training_images_are_distorted_as_in_amtls_code(data: Path, tmp_path: Path) -> None:
    """SSD's photometric distortion with channels swapped, and sharpening by 2, half of the time."""
    cfg = deeplab_config('uniform_r50_deeplabv3_nyuv2', data, tmp_path)
    steps = [step['type'] for step in cfg.train_dataloader.dataset.pipeline]
    assert steps[-3:] == ['mmdet.PhotoMetricDistortion', 'mmpretrain.Sharpness', 'PackDenseInputs']
    sharpen = cfg.train_dataloader.dataset.pipeline[-2]
    assert (sharpen.magnitude, sharpen.prob, sharpen.random_negative_prob) == (1.0, 0.5, 0.0)
    assert cfg.val_evaluator.depth == dict(
        type='DepthErrorMetric', min_value=0.001, max_value=10.0, clamp=True
    )
    assert cfg.val_evaluator.normal == dict(type='NormalErrorMetric', average='image')
    assert cfg.model.tasks.depth.decode_head.average == 'pixel'


ACCURACIES = (0.3989, 0.3986, 0.3989, 0.3986, 0.3581, 0.3877)  # Acc_MTL, as printed


@pytest.mark.parametrize(('name', 'accuracy'), zip(NETWORKS, ACCURACIES, strict=True))
def test_references_are_the_single_task_rows_of_the_tables(name: str, accuracy: float) -> None:
    """Their Acc_MTL as a check of six numbers each."""
    references = Config.fromfile(FOLDER / f'uniform_{name}.py').val_cfg.references
    values = {
        key: value if isinstance(value, float) else value['value']
        for key, value in references.items()
    }
    lower = [key for key, value in references.items() if not isinstance(value, float)]
    assert sorted(lower) == ['depth/rmse', 'normal/mean', 'normal/median']
    assert acc_mtl(values, lower) == pytest.approx(accuracy, abs=6e-5)


@pytest.mark.parametrize(
    ('name', 'method'),
    [
        ('uniform_r50_deeplabv3plus_nyuv2', None),
        ('uniform_r50_deeplabv3plus_nyuv2', 'imtl'),
        ('r50_deeplabv3plus_nyuv2', None),
        ('uniform_r50_deeplabv3plus_individual_nyuv2', 'amtl'),
    ],
)
def test_it_trains_and_validates(data: Path, tmp_path: Path, name: str, method: str | None) -> None:
    runner = run(deeplab_config(name, data, tmp_path), tmp_path, method=method)
    found = runner.message_hub.log_scalars
    for key in ('seg/mIoU', 'depth/delta1', 'depth/rmse', 'normal/mean', 'normal/11.25'):
        assert np.isfinite(found[f'val/{key}'].current())
    assert all(param.isfinite().all() for param in runner.model.parameters())
    lines = [line for line in scalars(tmp_path) if 'loss' in line]
    assert lines and all(np.isfinite(line['loss']) for line in lines)
    if method == 'amtl' or name.startswith('r50'):  # AMTL's own config
        weights = [lines[-1][f'weight/{task}'] for task in TASKS]
        assert sum(weights) == pytest.approx(1) and len(set(weights)) == 3
    if method == 'imtl':
        assert all(f'aggregator/{task}' in lines[-1] for task in TASKS)


def test_a_few_iterations_fit_the_tiny_data(data: Path, tmp_path: Path) -> None:
    cfg = deeplab_config('uniform_r50_deeplabv3plus_nyuv2', data, tmp_path)
    cfg.merge_from_dict(
        {
            'train_cfg': dict(max_epochs=1, iters_per_epoch=30, val_begin=2),
            'model.backbone.neck.dropout': 0.0, 'optim_wrapper.optimizer.lr': 0.05,
        }
    )  # fmt: skip
    run(cfg, tmp_path)
    losses = [line['loss'] for line in scalars(tmp_path) if 'loss' in line]
    assert len(losses) == 30 and np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
