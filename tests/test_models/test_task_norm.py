"""TaskNorm: a norm a task, all else shared (GradSplit, section 3.2)."""

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn
from toy import (
    BACKBONE,
    TASKS,
    build_wrapper,
    classifier,
    finish,
    snapshot,
    task_step,
    toy_batch,
    toy_model,
    train,
)

from mmgradsplit.models import MultiTaskModel, TaskNorm
from mmgradsplit.registry import MODELS

TBN = dict(type='mmgradsplit.TaskNorm')
SGD = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.01)
ADAMW = dict(type='AdamW', lr=0.01, weight_decay=0.5)
IMAGES = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def norms(model: MultiTaskModel) -> Iterator[tuple[str, TaskNorm]]:
    return ((n, m) for n, m in model.backbone.named_modules() if isinstance(m, TaskNorm))


def trained() -> MultiTaskModel:
    """A model whose tasks have norms that differ."""
    model = toy_model(norm_cfg=TBN)
    model.init_weights()
    finish(model, build_wrapper(model, relations='all'), [0])
    return model


def single(norm_cfg: dict) -> MultiTaskModel:
    torch.manual_seed(1)
    cfg = dict(BACKBONE, norm_cfg=norm_cfg)
    return MODELS.build(dict(type='MultiTaskModel', backbone=cfg, tasks=dict(red=classifier())))


def test_with_one_task_it_is_plain_batch_norm_bit_for_bit():
    """From upstream's initialisation on, through training, to prediction."""
    ours, plain = single(TBN), single(dict(type='BN'))
    for model in (ours, plain):
        torch.manual_seed(2)
        model.init_weights()
        model.train()
        wrapper = build_wrapper(model, optimizer=SGD, paramwise_cfg=dict(norm_decay_mult=0.0))
        for step in range(3):
            batch = toy_batch('red', step)
            data = dict(
                task='red', inputs=list(batch['inputs']), data_samples=batch['data_samples']
            )
            task_step(model, wrapper, data)
    state = {
        name.replace('.red.', '.', 1): value for name, value in snapshot(ours.backbone).items()
    }
    assert list(state) == list(plain.backbone.state_dict())
    for name, value in plain.backbone.state_dict().items():
        assert torch.equal(state[name], value), name
    assert torch.equal(ours.eval()(IMAGES, task='red'), plain.eval()(IMAGES, task='red'))
    assert ours.passes == [['red']]


@pytest.mark.parametrize(
    ('optimizer', 'optimizers', 'split_norm'),
    itertools.product((SGD, ADAMW), ('separate', 'shared'), (False, True)),
    ids=lambda value: value['type'] if isinstance(value, dict) else str(value),
)
def test_a_task_step_moves_no_other_tasks_norms(optimizer, optimizers, split_norm):
    """Neither parameters nor running statistics, whatever momentum and weight decay."""
    model = toy_model(norm_cfg=TBN)
    wrapper = build_wrapper(
        model,
        optimizer=optimizer,
        optimizers=optimizers,
        relations='all',
        modules=['layer4'],
        split_norm=split_norm,
    )
    kinds = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
    before = snapshot(model)
    for task in train(model, wrapper, range(3)):
        after = snapshot(model)
        for (name, _), other, kind in itertools.product(norms(model), TASKS, kinds):
            key = f'backbone.{name}.{other}.{kind}'
            same = torch.equal(before[key], after[key])
            assert same == (other != task), f'{task}: {key}'
        before = after


def test_all_tasks_at_once_are_each_task_by_itself():
    model = trained().eval()
    calls: list = []
    model.backbone.register_forward_hook(lambda *_: calls.append(None))
    assert model.passes == [[task] for task in TASKS]
    together = model(IMAGES)
    assert len(calls) == len(TASKS)
    assert list(together) == list(TASKS)
    for task in TASKS:
        assert torch.equal(together[task], model(IMAGES, task=task))
    features = [model.backbone_pass(IMAGES, task)[-1] for task in TASKS]
    assert not torch.equal(features[0], features[1])


def test_joint_losses_use_each_tasks_own_norms():
    model = trained().train()
    batches = {task: toy_batch(task, 0)['data_samples'] for task in TASKS}
    twin = copy.deepcopy(model)
    together = model(IMAGES[:2], batches, mode='loss')
    for task in TASKS:
        alone = twin(IMAGES[:2], batches[task], mode='loss', task=task)
        assert torch.equal(together[task]['loss'], alone['loss'])
    for name, value in snapshot(twin).items():  # running statistics, too
        assert torch.equal(model.state_dict()[name], value)


def plain_weights(seed: int = 3) -> dict[str, Tensor]:
    """Of a plain network, no norm alike."""
    torch.manual_seed(seed)
    network = MODELS.build(dict(BACKBONE, norm_cfg=dict(type='BN')))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean):
                    value.normal_()
                module.running_var.uniform_(0.5, 2)
    return network.state_dict()


def assert_holds(model: MultiTaskModel, weights: dict[str, Tensor]) -> None:
    state, taken = model.backbone.state_dict(), set()
    for name, norm in norms(model):
        for task, key in itertools.product(TASKS, norm[TASKS[0]].state_dict()):
            assert torch.equal(state[f'{name}.{task}.{key}'], weights[f'{name}.{key}'])
            taken.add(f'{name}.{key}')
    assert 'bn1.weight' in taken
    assert all(torch.equal(state[key], weights[key]) for key in weights if key not in taken)


def test_weights_of_a_plain_network_go_to_every_task():
    weights = plain_weights()
    model = toy_model(norm_cfg=TBN)
    model.backbone.load_state_dict(weights, strict=True)
    assert_holds(model, weights)


def test_image_net_weights_go_to_every_task(tmp_path: Path):
    weights = plain_weights()
    torch.save(weights, tmp_path / 'weights.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    model = toy_model(norm_cfg=TBN, init_cfg=init_cfg)
    model.init_weights()
    assert_holds(model, weights)


def test_every_task_starts_as_upstream_initialises():
    """Mmpretrain sets the last norm of a residual block to zero, and all others to one."""
    model = toy_model(norm_cfg=TBN)
    model.init_weights()
    for name, norm in norms(model):
        for task in TASKS:
            expected = 0.0 if name.endswith('bn2') else 1.0
            assert (norm[task].weight == expected).all(), name
            assert not norm[task].bias.any()


def test_a_checkpoint_is_loaded_as_it_was_saved():
    model, other = trained(), toy_model(norm_cfg=TBN)
    other.load_state_dict(model.state_dict(), strict=True)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_copies_follow_their_own_pass():
    model = trained().eval()
    expected = {task: model(IMAGES, task=task) for task in TASKS}
    for twin in (copy.deepcopy(model), ExponentialMovingAverage(model).module.eval()):
        model(IMAGES, task='blue')
        assert torch.equal(twin(IMAGES, task='red'), expected['red'])


def test_activation_checkpointing_recomputes_with_the_same_norms():
    grads = []
    for with_cp in (False, True):
        model = toy_model(norm_cfg=TBN, with_cp=with_cp, norm_eval=True)
        batch = toy_batch('green', 0)
        model(batch['inputs'], batch['data_samples'], mode='loss', task='green')['loss'].backward()
        grads.append({name: param.grad for name, param in model.named_parameters()})
    for name, grad in grads[0].items():
        assert (grad is None) == (grads[1][name] is None), name
        if grad is not None:
            torch.testing.assert_close(grads[1][name], grad, msg=name)


def test_other_norms_by_task():
    norm_cfg = dict(**TBN, norm=dict(type='GN', num_groups=2), eps=1e-3, requires_grad=False)
    model = toy_model(norm_cfg=norm_cfg)
    for _, norm in norms(model):
        assert list(norm) == list(TASKS)
        for own in norm.values():
            assert isinstance(own, nn.GroupNorm)
            assert own.eps == 1e-3
            assert not own.weight.requires_grad


def test_the_backbone_without_a_task():
    model = toy_model(norm_cfg=TBN)
    with pytest.raises(RuntimeError, match=r'norm_cfg.*TaskNorm.*task='):
        model.backbone(IMAGES)


def test_outside_of_a_multi_task_model_it_is_a_single_norm():
    torch.manual_seed(0)
    norm, plain = TaskNorm(3), nn.BatchNorm2d(3)
    assert torch.equal(norm(IMAGES), plain(IMAGES))
    assert norm.weight.shape == norm.bias.shape == (3,)


def test_other_backbones_let_all_tasks_share_a_pass():
    assert toy_model().passes == [list(TASKS)]


def test_own_parameters_are_of_one_task_each():
    model = toy_model(norm_cfg=TBN)
    own = {task: set(model.own_parameters(task)) for task in TASKS}
    names = {param: name for name, param in model.named_parameters()}
    for task, params in own.items():
        assert {names[p] for p in params} == {
            name for name in names.values() if f'.{task}.' in name
        }
    shared = set(model.parameters()).difference(*own.values())
    assert all(names[param].startswith('backbone.') for param in shared)
