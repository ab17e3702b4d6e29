"""Starting from plain checkpoints: what a part takes, and that it is what the toolbox had."""

import copy
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
import torchvision
from fixtures_training import build, load, run, tiny_config, write_data
from mmengine.config import Config
from mmengine.model import initialize
from mmengine.runner import Runner, checkpoint
from mmengine.runner.checkpoint import save_checkpoint
from torch import nn

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.apis.start_weights import describe, load_parts, parts_to_load, read_weights
from mmgradsplit.registry import MODELS


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


def plain_pose(cfg: Config) -> dict:
    """The pose task as mmpose alone has it, with a backbone of its own."""
    model = copy.deepcopy(cfg.model.tasks.pose)
    return dict(model, backbone=cfg.model.backbone, _scope_='mmpose')


def changed(model: nn.Module, seed: int = 1) -> nn.Module:
    """Other weights than any initialisation has, those of norms and their statistics included."""
    torch.manual_seed(seed)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.2)
    return model


def saved(model: nn.Module, file: Path, **beside: Any) -> str:
    save_checkpoint(dict(state_dict=model.state_dict(), **beside), str(file))
    return str(file)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_checkpoint_of_mmpose_starts_a_task_where_mmpose_ended(
    data: Path, tmp_path: Path
) -> None:
    """Backbone and head, and with them the PCK that mmpose measures, before the first step."""
    cfg = tiny_config(data, ('reid', 'pose'), train_cfg__max_epochs=1)
    alone = Runner(
        model=plain_pose(cfg),
        work_dir=str(tmp_path / 'mmpose'),
        train_dataloader=cfg.train_dataloader.pose,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        val_dataloader=cfg.val_dataloader.pose,
        val_cfg=dict(),
        val_evaluator=cfg.val_evaluator.pose,
        default_scope='mmpose',
        experiment_name='mmpose alone',
        log_level='WARNING',
        randomness=dict(seed=3),
    )
    alone.train()
    theirs = alone.val()
    file = str(tmp_path / 'mmpose/epoch_1.pth')

    cfg.load_from = dict(backbone=file, pose=file)
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.optim_wrapper.optimizer.weight_decay = 0.0
    runner = run(cfg, tmp_path / 'ours')
    state = load(tmp_path / 'ours/epoch_1.pth')['state_dict']
    plain = torch.load(file, weights_only=False)['state_dict']
    for name, value in plain.items():
        ours = name if name.startswith('backbone.') else f'tasks.pose.{name}'
        if 'running_' not in name and 'num_batches' not in name:  # of the head's norms
            assert torch.equal(state[ours], value), name
    fresh = build(prepare(tiny_config(data, ('reid', 'pose')), tmp_path / 'w'), tmp_path / 'w')
    load_parts(fresh.model, dict(backbone=file, pose=file))
    ours = fresh.val()
    assert theirs and {name: ours[f'pose/{name}'] for name in theirs} == theirs

    # The config that is written starts the same way again.
    assert dict(runner.cfg.custom_hooks[-1].files) == dict(backbone=file, pose=file)


def test_a_resumed_run_keeps_its_own_weights(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('pose',))
    file = saved(changed(MODELS.build(plain_pose(cfg))), tmp_path / 'plain.pth')
    cfg.load_from = dict(backbone=file, pose=file)
    run(cfg, tmp_path / 'whole')
    cfg.train_cfg.max_epochs = 1
    run(cfg, tmp_path / 'half')
    cfg.train_cfg.max_epochs = 2
    run(cfg, tmp_path / 'half', resume='auto')
    whole, half = (
        load(tmp_path / name / 'epoch_2.pth')['state_dict'] for name in ('whole', 'half')
    )
    assert same(whole, half)


def multi_task(cfg: Config, **backbone: Any) -> Any:
    model = copy.deepcopy(cfg.model)
    for key, value in backbone.items():
        model.backbone[key] = value
    return MODELS.build(model)


def test_all_norms_of_the_tasks_start_from_the_plain_one(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('reid', 'pose'))
    model = multi_task(cfg, norm_cfg=dict(type='mmgradsplit.TaskNorm'))
    plain = changed(MODELS.build(dict(cfg.model.backbone, norm_cfg=dict(type='BN'))))
    (found,) = load_parts(model, dict(backbone=saved(plain, tmp_path / 'bn.pth')))
    assert not (found.missing or found.unused or found.other_shape)
    state = model.backbone.state_dict()
    for name, value in plain.state_dict().items():
        parent, _, leaf = name.rpartition('.')
        norm = '.bn' in f'.{parent}' or parent.endswith('downsample.1')
        names = [f'{parent}.{task}.{leaf}' for task in ('reid', 'pose')] if norm else [name]
        assert all(torch.equal(state[each], value) for each in names), name


@pytest.mark.parametrize('kind', ['pth', 'safetensors'])
def test_weights_of_torchvision_give_torchvision_s_features(
    data: Path, tmp_path: Path, kind: str
) -> None:
    cfg = tiny_config(data, ('reid',))
    model = multi_task(cfg, base_channels=64, stem_channels=64, norm_cfg=dict(type='BN'))
    theirs = changed(torchvision.models.resnet18()).eval()
    file = tmp_path / f'resnet18.{kind}'
    write = safetensors.torch.save_file if kind == 'safetensors' else torch.save
    write(theirs.state_dict(), file)
    (found,) = load_parts(model.eval(), dict(backbone=str(file)))
    assert {*found.unused} == {'fc.weight', 'fc.bias'} and not found.missing
    images = torch.randn(2, 3, 64, 32)
    body = nn.Sequential(*list(theirs.children())[:-2])
    torch.testing.assert_close(model.backbone(images)[-1], body(images))


def test_a_task_of_our_own_checkpoint(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('reid', 'pose'))
    earlier, model = changed(multi_task(cfg)), multi_task(cfg)
    before = copy.deepcopy(model.tasks['reid'].state_dict())
    load_parts(model, dict(pose=saved(earlier, tmp_path / 'ours.pth')))
    assert same(model.tasks['pose'].state_dict(), earlier.tasks['pose'].state_dict())
    assert same(model.tasks['reid'].state_dict(), before)


def test_what_was_not_taken_is_said(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('pose',))
    other = plain_pose(cfg)
    other['head'] = dict(other['head'], out_channels=other['head']['out_channels'] + 1)
    other['backbone'] = dict(other['backbone'], norm_cfg=dict(type='BN'))
    file = saved(changed(MODELS.build(other)), tmp_path / 'other.pth')
    model = multi_task(cfg)
    before = copy.deepcopy(model.state_dict())
    backbone, pose = found = load_parts(model, dict(backbone=file, pose=file))
    assert pose.other_shape == ['head.final_layer.weight', 'head.final_layer.bias']
    # Group norms are named gn1, …: the file has bn1, …, and those of downsample alike.
    assert all('gn' in name for name in backbone.missing) and backbone.missing
    assert all('bn' in name or 'running' in name or 'tracked' in name for name in backbone.unused)
    after = model.state_dict()
    for part, prefix in ((backbone, 'backbone.'), (pose, 'tasks.pose.')):
        for name in [*part.missing, *part.other_shape]:
            assert torch.equal(before[prefix + name], after[prefix + name])
        assert not any(torch.equal(before[prefix + n], after[prefix + n]) for n in part.taken
                       if after[prefix + n].is_floating_point())  # fmt: skip
    text = describe(found)
    row = next(line for line in text.splitlines() if 'backbone' in line and file in line)
    numbers = [int(cell) for cell in row.split('|') if cell.strip().isdigit()]
    assert numbers == [
        len(names) for names in (backbone.taken, [], backbone.missing, backbone.unused)
    ]
    assert 'pose, other shape: head.final_layer.weight, head.final_layer.bias' in text


def test_bad_input_is_said_before_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = prepare(tiny_config(data, ('reid', 'pose')), tmp_path)
    file = saved(nn.Linear(2, 2), tmp_path / 'linear.pth')
    cfg.load_from = dict(pos=file)
    with pytest.raises(ValueError, match=r"load_from: .*no part 'pos'.*did you mean 'pose'"):
        parts_to_load(cfg)
    cfg.load_from = dict(pose='nowhere.pth')
    with pytest.raises(FileNotFoundError, match=r"load_from\.pose: no file 'nowhere\.pth'"):
        run(cfg, tmp_path / 'run')
    model = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match=r"load_from\.pose: nothing in .*linear\.pth' fits"):
        load_parts(model, dict(pose=file))
    (tmp_path / 'text.pth').write_text('no checkpoint')
    with pytest.raises(ValueError, match=r"load_from\.pose: '.*text\.pth' is no checkpoint"):
        read_weights(str(tmp_path / 'text.pth'), 'pose')
    torch.save(dict(state_dict=dict(epoch=1)), tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match=r'load_from\.pose: there are no weights'):
        read_weights(str(tmp_path / 'empty.pth'), 'pose')

    def offline(*_: object, **__: object) -> None:
        raise URLError('no network')

    monkeypatch.setattr(checkpoint, 'load_url', offline)
    with pytest.raises(OSError, match=r'load_from\.backbone: .*cannot be downloaded.*go online'):
        read_weights('torchvision://resnet18', 'backbone')


def test_tasks_that_are_left_out_take_their_files_along(data: Path, tmp_path: Path) -> None:
    cfg = tiny_config(data, ('reid', 'pose'))
    cfg.load_from = dict(backbone='b.pth', reid='r.pth', pose='p.pth')
    cfg.tasks = ['pose']
    assert prepare(cfg, tmp_path).load_from == dict(backbone='b.pth', pose='p.pth')


def test_an_initialisation_of_which_nothing_fits_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / 'linear.pth'
    torch.save({'backbone.weight': torch.ones(2, 2), 'backbone.bias': torch.ones(3)}, file)
    cfg = dict(type='Pretrained', checkpoint=str(file))
    with pytest.raises(
        ValueError, match=r"nothing in .*linear\.pth' fits the Linear.*'backbone\.w"
    ):
        initialize(nn.Linear(2, 2), cfg)
    layer = nn.Linear(2, 2)
    initialize(layer, dict(cfg, prefix='backbone'))  # its weight fits
    assert (layer.weight == 1).all()
