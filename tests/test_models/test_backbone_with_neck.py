"""A backbone with a neck as the shared trunk: mmseg's own networks, trained as any trunk."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_deeplab import deeplab_config
from fixtures_dense import SIZE, write_nyud
from fixtures_training import run
from mmengine.registry import init_default_scope
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.functional import weighted_layers
from mmgradsplit.registry import MODELS

SHARED, INDIVIDUAL = 'uniform_r50_deeplabv3plus_nyuv2', 'uniform_r50_deeplabv3plus_individual_nyuv2'
PREDICTED = dict(seg='seg_logits', depth='pred_depth_map', normal='pred_normal_map')


def config(name: str) -> Any:
    cfg = prepare(deeplab_config(name, Path('none'), Path('none')))
    init_default_scope('mmgradsplit')
    return cfg


def network(cfg: Any) -> Any:
    """The model, with norms that do something."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value, low, high in (
                (norm.weight, 0.5, 1.5), (norm.running_var, 0.2, 0.5),
                (norm.bias, -0.1, 0.1), (norm.running_mean, -0.1, 0.1),
            ):  # fmt: skip
                nn.init.uniform_(value, low, high)
    return model


def test_features_are_the_necks_outputs() -> None:
    model = network(config(SHARED))
    images = torch.rand(2, 3, *SIZE)
    trunk = model.backbone
    with torch.no_grad():
        low, deep = trunk.backbone(images)
        assert low.shape[1] == 8 and deep.shape[1] == 32  # layer2 and layer4 of the tiny ResNet-18
        expected = trunk.neck.low_level(low), trunk.neck.aspp(deep)
        for found in (trunk(images), model.backbone_pass(images, 'seg')):
            assert len(found) == 2
            assert all(map(torch.equal, found, expected))


def test_one_pass_through_backbone_and_neck_serves_all_tasks() -> None:
    model = network(config(SHARED))
    calls: list[Any] = []
    for module in (model.backbone.backbone, model.backbone.neck, model.backbone.neck.aspp):
        module.register_forward_hook(lambda module, *_: calls.append(module))
    with torch.no_grad():
        outputs = model(torch.rand(2, 3, *SIZE), None, mode='tensor')
    assert [out.shape[1] for out in outputs.values()] == [13, 1, 3]
    assert len(calls) == len(set(calls)) == 3


def test_a_shared_neck_is_the_backbones_and_an_individual_one_the_tasks() -> None:
    shared, individual = network(config(SHARED)), network(config(INDIVIDUAL))
    assert not [name for name in shared.tasks.state_dict() if 'neck' in name]
    owned = {param for task in shared.tasks for param in shared.own_parameters(task)}
    assert owned.isdisjoint(shared.backbone.parameters())
    size = sum(param.numel() for param in shared.backbone.neck.parameters())
    for task, model in individual.tasks.items():
        assert sum(param.numel() for param in model.neck.parameters()) == size
        assert set(model.neck.parameters()) <= set(individual.own_parameters(task))
    assert not [name for name in individual.backbone.state_dict() if 'neck' in name]


def test_the_last_shared_layer_is_the_projection() -> None:
    """Where GradNorm, and aggregators on the last layer, look."""
    layers = weighted_layers(network(config(SHARED)).backbone)
    assert list(layers)[-1] == 'neck.aspp.project.0'


@pytest.mark.parametrize('task', PREDICTED)
@pytest.mark.parametrize('name', [SHARED, INDIVIDUAL])
def test_a_task_predicts_what_a_plain_model_of_its_toolbox_does(name: str, task: str) -> None:
    cfg = config(name)
    model = network(cfg)
    parts, renamed = dict(backbone=cfg.model.backbone), {'backbone.': 'backbone.'}
    if name == SHARED:
        parts = dict(backbone=cfg.model.backbone.backbone, neck=cfg.model.backbone.neck)
        renamed = {'backbone.backbone.': 'backbone.', 'backbone.neck.': 'neck.'}
    plain = MODELS.build({**cfg.model.tasks[task], **parts}).eval()
    renamed[f'tasks.{task}.'] = ''
    state = {
        new + key.removeprefix(old): value
        for key, value in model.state_dict().items()
        for old, new in renamed.items()
        if key.startswith(old)
    }
    plain.load_state_dict(state)
    images = torch.rand(2, 3, *SIZE)

    def predict(predictor: Any, **options: Any) -> list[Tensor]:
        meta = dict(img_shape=SIZE, ori_shape=(2 * SIZE[0], 2 * SIZE[1]))
        samples = [SegDataSample(metainfo=meta) for _ in images]
        with torch.no_grad():
            found = predictor(images, samples, mode='predict', **options)
        return [sample.get(PREDICTED[task]).data for sample in found]

    ours, theirs = predict(model, task=task), predict(plain)
    assert all(map(torch.equal, ours, theirs))
    assert ours[0].std() > 0 and not torch.equal(ours[0], ours[1])


@pytest.mark.parametrize('on', ['features', 'last_layer'])
def test_the_mean_of_task_gradients_trains_as_without_an_aggregator(
    on: str, tmp_path: Path
) -> None:
    data = write_nyud(tmp_path / 'data')
    trained = []
    for aggregated in (False, True):
        folder = tmp_path / str(aggregated)
        cfg = deeplab_config(SHARED, data, folder, model__backbone__neck__dropout=0.0)
        cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
        if aggregated:
            aggregator = dict(type='torchjd.Mean')
            cfg.optim_wrapper.update(type='AggregatorOptimWrapper', aggregator=aggregator, on=on)
        trained.append(run(cfg, folder).model)
    plain, aggregated_model = trained
    start = network(config(SHARED))
    moved = 0
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(
            aggregated_model.state_dict()[name], value, rtol=1e-5, atol=1e-6, msg=name
        )
        moved += not torch.equal(value, start.state_dict()[name])
    assert moved > 0.9 * len(plain.state_dict())
