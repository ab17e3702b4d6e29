"""The networks of GradSplit's tables: each trains, and a task step moves what it may, no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import ALL, GN, run, tiny_config, write_data
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmgradsplit.models import MultiTaskModel, ResNetPlus, ResNetStage
from mmgradsplit.optim.grad_split.task_update import TaskUpdate
from mmgradsplit.registry import MODELS

THIN = dict(base_channels=8, stem_channels=8)
RESNET18 = dict(type='mmpretrain.ResNet', depth=18, out_indices=(3,), **THIN)
RESNET50 = dict(type='mmpretrain.ResNet', depth=50, out_indices=(3,), norm_cfg=GN, **THIN)
TO_LAYER3 = dict(
    RESNET50, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 1, 2)
)
LAYER4 = dict(type='mmgradsplit.ResNetStage', depth=50, stage=4, base_channels=8, norm_cfg=GN)
# Backbone, channels of its last features, modules that are split.
NETWORKS: dict[str, tuple[dict, int, list[str]]] = {
    'R18-BN': (dict(RESNET18, norm_cfg=dict(type='BN')), 64, ['layer4']),
    'R18-TBN': (dict(RESNET18, norm_cfg=dict(type='mmgradsplit.TaskNorm')), 64, ['layer4']),
    'VGG-11': (
        dict(type='mmpretrain.VGG', depth=11, norm_cfg=GN, with_last_pool=False),
        512,
        ['features.1[01]'],
    ),
    'R50-GN+': (dict(RESNET50, type='mmgradsplit.ResNetPlus'), 256, ['layer4']),
    'R50-L4': (TO_LAYER3, 256, []),
    'R18-GN, layers 1-4': (dict(RESNET18, norm_cfg=GN), 64, ['layer[1234]']),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def config(data: Path, network: str) -> Config:
    """Two major iterations; each filter group is trained by its own task alone."""
    backbone, channels, modules = NETWORKS[network]
    cfg = tiny_config(data, optim_wrapper__modules=modules)
    cfg.model.backbone = ConfigDict(backbone)
    for task in cfg.model.tasks.values():
        (task.get('head') or task['decode_head'])['in_channels'] = channels
        if network == 'R50-L4':
            task['neck'] = ConfigDict(LAYER4)
    if network == 'VGG-11':  # its last features are at stride 16
        codec = cfg.model.tasks.pose.head.decoder
        codec['heatmap_size'] = (16, 16)
        for step in cfg.train_dataloader.pose.dataset.pipeline:
            if step['type'] == 'GenerateTarget':
                step['encoder'] = codec
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=2)
    return cfg


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, dict]]]:
    """Of each task step, the task and by parameter which channels moved."""
    taken: list[tuple[str, dict[nn.Parameter, Tensor]]] = []
    original = TaskUpdate.update

    def watched(self: TaskUpdate, loss: Tensor, steps: bool) -> None:
        before = {source: source.detach().clone() for source in self.sources}
        original(self, loss, steps)
        moved = {source: (source != old).reshape(len(old), -1) for source, old in before.items()}
        taken.append((self.task, {source: channels.any(1) for source, channels in moved.items()}))

    monkeypatch.setattr(TaskUpdate, 'update', watched)
    yield taken


def split_modules(network: str, name: str, module: nn.Module) -> bool:
    layers = {
        'VGG-11': ('features.10.', 'features.11.'),
        'R18-GN, layers 1-4': ('layer1.', 'layer2.', 'layer3.', 'layer4.'),
        'R50-L4': (),
    }
    return isinstance(module, nn.Conv2d) and name.startswith(layers.get(network, ('layer4.',)))


@pytest.mark.parametrize('network', NETWORKS)
def test_every_network_trains_and_keeps_the_tasks_apart(
    data: Path, tmp_path: Path, steps: list, network: str
) -> None:
    model = run(config(data, network), tmp_path, validate=network == 'R18-TBN').model
    assert [task for task, _ in steps] == [*ALL, *ALL]
    groups = [
        param
        for name, module in model.backbone.named_modules()
        if split_modules(network, name, module)
        for param in module.parameters(recurse=False)
    ]
    assert bool(groups) == (network != 'R50-L4')
    own = {task: set(model.own_parameters(task)) for task in ALL}
    shared = set(model.parameters()).difference(*own.values(), groups)
    for number, (task, moved) in enumerate(steps):
        position = ALL.index(task)
        for param in groups:
            n = len(param) // len(ALL)
            inside = torch.zeros(len(param), dtype=torch.bool)
            inside[position * n : (position + 1) * n] = True
            inside[len(ALL) * n :] = True
            assert moved[param][inside].any()
            assert not moved[param][~inside].any()
        for other in ALL:
            assert any(moved[param].any() for param in own[other]) == (other == task)
        # In the first iteration, residual branches that start at zero have no gradients yet.
        assert number < len(ALL) or all(moved[param].any() for param in shared)


def four_tasks(backbone: dict, channels: int, **task: Any) -> MultiTaskModel:
    """Four classifiers with nothing but a linear layer of their own."""
    cfg = dict(
        type='mmpretrain.ImageClassifier',
        head=dict(type='mmgradsplit.MultiLabelConvHead', in_channels=channels, conv_channels=8,
                  num_classes=3),
        **task,
    )  # fmt: skip
    return MODELS.build(
        dict(type='MultiTaskModel', backbone=backbone, tasks=dict.fromkeys(ALL, cfg))
    )


def size(module: nn.Module) -> int:
    return sum(param.numel() for param in module.parameters())


def full(name: str) -> dict[str, Any]:
    path = Path(__file__).parents[2] / f'configs/_base_/backbones/{name}.py'
    return {key: dict(cfg, init_cfg=None) for key, cfg in Config.fromfile(path).items()}


def test_parameters_of_the_full_size_networks() -> None:
    """Table 7: R50-GN+ has 20M more than R50-GN, R50-L4 three more layer4 of 15M each."""
    plain = ROOT_MODELS.build(full('resnet50_gn')['resnet50_gn'])
    # The published count of ResNet-50, 25.56M, has a classifier of 2.05M.
    assert size(plain) == 25_557_032 - 2_049_000
    plus = MODELS.build(full('resnet50_gn_plus')['resnet50_gn_plus'])
    assert 19.5e6 < size(plus) - size(plain) < 20.5e6
    branched = full('resnet50_gn_layer3')
    trunk = ROOT_MODELS.build(branched['resnet50_gn_layer3'])
    branch = MODELS.build(branched['resnet50_gn_layer4'])
    assert size(trunk) + size(branch) == size(plain)
    assert (96 - 52 - 1) * 1e6 < 3 * size(branch) < (96 - 52 + 1) * 1e6


@pytest.mark.parametrize('stride', [1, 2])
def test_trunk_and_stage_are_upstreams_resnet(stride: int) -> None:
    """With the same weights, all features are the same, bit for bit."""
    backbone = dict(RESNET50, out_indices=(0, 1, 2, 3), strides=(1, 2, 2, stride))
    whole, trunk = ROOT_MODELS.build(backbone), ROOT_MODELS.build(TO_LAYER3)
    stage = MODELS.build(dict(LAYER4, stride=stride))
    weights = whole.state_dict()
    trunk.load_state_dict({k: v for k, v in weights.items() if not k.startswith('layer4')})
    stage.load_state_dict({k: v for k, v in weights.items() if k.startswith('layer4')})
    images = torch.randn(2, 3, 64, 64)
    for ours, theirs in zip(stage(trunk(images)), whole(images), strict=True):
        assert torch.equal(ours, theirs)


def test_a_stage_is_initialised_from_the_whole_networks_weights(tmp_path: Path) -> None:
    whole = ROOT_MODELS.build(RESNET50)
    torch.save(whole.state_dict(), tmp_path / 'resnet.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet.pth'))
    model = four_tasks(TO_LAYER3, 256, neck=dict(LAYER4, init_cfg=init_cfg))
    model.init_weights()
    for task, (name, value) in (
        (t, item) for t in ALL for item in whole.layer4.state_dict().items()
    ):
        assert torch.equal(model.tasks[task].neck.state_dict()[f'layer4.{name}'], value)


def test_stages_without_network_start_from_upstreams_initialisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr('mmengine.runner.checkpoint.load_url', offline)
    notices: list[str] = []
    monkeypatch.setattr(
        'mmgradsplit.models.multi_task_model.print_log', lambda text, *_, **__: notices.append(text)
    )
    init_cfg = dict(type='Pretrained', checkpoint='https://weights.invalid/resnet50.pth')
    neck = dict(LAYER4, init_cfg=init_cfg)
    model = four_tasks(dict(TO_LAYER3, init_cfg=init_cfg), 256, neck=neck)
    model.init_weights()
    assert len(notices) == 5
    assert 'model.tasks.reid.neck.init_cfg' in ' '.join(notices)
    for task in ALL:
        stage = model.tasks[task].neck
        assert isinstance(stage, ResNetStage)
        weight = stage.layer4[1].conv2.weight  # Kaiming's normal by the fan out of 64 * 9
        assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize('norm_cfg', [GN, dict(type='BN'), dict(type='mmgradsplit.TaskNorm')])
def test_resnet_plus_starts_as_the_resnet_whose_weights_it_has(
    tmp_path: Path, norm_cfg: dict
) -> None:
    plain_cfg = GN if norm_cfg is GN else dict(type='BN')
    whole = ROOT_MODELS.build(dict(RESNET50, norm_cfg=plain_cfg))
    whole.eval()
    torch.save(whole.state_dict(), tmp_path / 'resnet.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet.pth'))
    cfg = dict(RESNET50, type='mmgradsplit.ResNetPlus', norm_cfg=norm_cfg, init_cfg=init_cfg)
    model = four_tasks(cfg, 256).eval()
    model.init_weights()
    assert isinstance(model.backbone, ResNetPlus)
    assert len(model.backbone.layer4) == 6
    for block in list(model.backbone.layer4)[3:]:
        kernels = [m.kernel_size for m in block.modules() if isinstance(m, nn.Conv2d)]
        assert sorted(kernels) == [(1, 1), (1, 1), (3, 3), (3, 3)]
    images = torch.randn(2, 3, 64, 64)
    for task in ALL:
        torch.testing.assert_close(model.backbone_pass(images, task)[-1], whole(images)[-1])


def test_resnet_plus_from_random_weights_is_initialised_as_upstream() -> None:
    model = MODELS.build(dict(RESNET50, type='mmgradsplit.ResNetPlus', norm_cfg=dict(type='BN')))
    model.init_weights()
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            assert (module.weight == (0 if name.endswith('bn3') else 1)).all(), name
    weight = model.layer4[4].conv2[1].weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
