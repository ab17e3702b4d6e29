"""Loading a model for prediction, and the script that draws what it predicts."""

import runpy
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmgradsplit.apis.inference import load_model
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIG = """
default_scope = 'mmgradsplit'
classifier = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=64, num_classes=3),
)
model = dict(
    type='MultiTaskModel',
    backbone=dict(
        type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,),
        norm_cfg=dict(type='GN', num_groups=2),
    ),
    tasks=dict(shape=classifier, color=classifier),
)
val_dataloader = dict(
    shape=dict(dataset=dict(pipeline=[dict(type='Load'), dict(type='Resize', scale=(40, 72))])),
)
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A config, a checkpoint of it, and an image."""
    config, checkpoint = tmp_path / 'small.py', tmp_path / 'small.pth'
    config.write_text(CONFIG)
    torch.manual_seed(7)
    model = MODELS.build(Config.fromfile(config).model)
    meta = dict(dataset_meta=dict(shape=dict(classes=('disc', 'box', 'star')), color={}))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    image = tmp_path / 'photo.png'
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8))
    return config, checkpoint, image


def test_only_the_tasks_that_the_config_chooses(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """As training does; the checkpoint has no others."""
    config, _, _ = files
    chosen, checkpoint = tmp_path / 'chosen.py', tmp_path / 'chosen.pth'
    chosen.write_text(f"_base_ = '{config}'\ntasks = ['color']\n")
    model = MODELS.build(prepare(chosen).model)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    model = load_model(chosen, checkpoint, device='cpu')
    assert list(model.tasks) == ['color']


def test_weights_names_and_size_are_loaded(files: tuple[Path, Path, Path]) -> None:
    config, checkpoint, _ = files
    model: Any = load_model(config, checkpoint, device='cpu')
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert model.dataset_meta['shape']['classes'] == ('disc', 'box', 'star')
    assert model.input_size == (40, 72)
    assert not model.training


def test_a_checkpoint_of_another_model_is_an_error(files: tuple[Path, Path, Path]) -> None:
    config, checkpoint, _ = files
    other = Config.fromfile(config)
    other.model.tasks.shape.head.num_classes = 5
    message = r"small.pth' does not fit .* tasks.shape.head.fc.weight has the shape \[3, 64\], not"
    with pytest.raises(ValueError, match=message):
        load_model(other, checkpoint)


def test_tasks_that_the_config_leaves_out(files: tuple[Path, Path, Path]) -> None:
    """Every weight of the network is the checkpoint's, so nothing is silent."""
    config, checkpoint, _ = files
    model = load_model(config, checkpoint, 'cpu', cfg_options=dict(tasks=['color']))
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    assert list(model.tasks) == ['color']
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_missing_files_are_named(files: tuple[Path, Path, Path]) -> None:
    config, _, _ = files
    with pytest.raises(FileNotFoundError, match=r"no config file 'nowhere\.py'"):
        load_model('nowhere.py')
    with pytest.raises(FileNotFoundError, match=r"no checkpoint 'nowhere\.pth'"):
        load_model(config, 'nowhere.pth')


def test_a_single_task_model_is_an_error(files: tuple[Path, Path, Path]) -> None:
    cfg = Config.fromfile(files[0])
    cfg.model = dict(type='mmpretrain.LeNet5')
    with pytest.raises(ValueError, match=r"model\.type is 'mmpretrain\.LeNet5'"):
        load_model(cfg)


def test_the_command_writes_a_panel_for_each_image(
    files: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, checkpoint, image = files
    out = image.parent / 'drawn'
    arguments = [config, checkpoint, image, '--out', out, '--size', 32, 64, '--device', 'cpu']
    options = ['--cfg-options', 'model.backbone.out_indices=(3,)']
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, arguments), *options])
    runpy.run_path(str(ROOT / 'tools' / 'predict.py'), run_name='__main__')
    assert capsys.readouterr().out.split()[-1] == str(out / 'photo.png')
    assert cv2.imread(str(out / 'photo.png')) is not None


def test_the_config_of_the_checkpoint(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    config, checkpoint, _ = files
    with pytest.raises(ValueError, match='holds no config'):
        load_model(None, checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['cfg'] = Config.fromfile(config).pretty_text
    torch.save(content, tmp_path / 'whole.pth')
    model = load_model(None, tmp_path / 'whole.pth', device='cpu')
    assert list(model.tasks) == ['color', 'shape']


def test_the_names_of_a_joint_data_set_are_those_of_every_task(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    config, checkpoint, _ = files
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['dataset_meta'] = dict(joint=dict(classes=('wall', 'floor')))
    torch.save(content, tmp_path / 'joint.pth')
    model: Any = load_model(config, tmp_path / 'joint.pth', device='cpu')
    assert {task: meta['classes'] for task, meta in model.dataset_meta.items()} == dict.fromkeys(
        ['shape', 'color'], ('wall', 'floor')
    )


def test_what_is_no_checkpoint(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / 'text.pth').write_text('no weights')
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match=r"text\.pth' is no checkpoint that torch can read"):
        load_model(files[0], tmp_path / 'text.pth')
    with pytest.raises(ValueError, match=r"list\.pth' is no checkpoint: it holds a list"):
        load_model(files[0], tmp_path / 'list.pth')


@pytest.mark.parametrize('device', ['gpu', 'cuda:99'])
def test_a_device_that_is_not_there(files: tuple[Path, Path, Path], device: str) -> None:
    with pytest.raises(ValueError, match=f"the device '{device}' cannot be used here: "):
        load_model(files[0], files[1], device)


def test_a_file_of_nothing(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / 'empty.pth').write_bytes(b'')
    with pytest.raises(ValueError, match=r"empty\.pth' is no checkpoint .*: it ends too early$"):
        load_model(files[0], tmp_path / 'empty.pth', 'cpu')
