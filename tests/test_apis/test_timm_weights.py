"""Files of timm start the networks that both have, and say so where the names differ."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from fixtures_training import tiny_config
from torch import Tensor, nn

from mmgradsplit.apis.start_weights import load_parts
from mmgradsplit.registry import MODELS

NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
# As timm/models/resnet.py has them: blocks of each stage, convolutions of a block.
RESNETS = {18: ((2, 2, 2, 2), 2), 50: ((3, 4, 6, 3), 3)}


def timm_names(depth: int) -> Iterator[str]:
    """The names of timm's ``resnet18`` and ``resnet50``."""
    stages, convolutions = RESNETS[depth]
    yield 'conv1.weight'
    yield from (f'bn1.{leaf}' for leaf in NORM)
    for stage, blocks in enumerate(stages, 1):
        for block in range(blocks):
            for number in range(1, convolutions + 1):
                yield f'layer{stage}.{block}.conv{number}.weight'
                yield from (f'layer{stage}.{block}.bn{number}.{leaf}' for leaf in NORM)
            if block == 0 and (stage > 1 or depth == 50):
                yield f'layer{stage}.0.downsample.0.weight'
                yield from (f'layer{stage}.0.downsample.1.{leaf}' for leaf in NORM)
    yield from ('fc.weight', 'fc.bias')


def network(**backbone: Any) -> Any:
    cfg = tiny_config(Path('data'), ('reid',)).model
    cfg.backbone = dict(norm_cfg=dict(type='BN'), **backbone)
    return MODELS.build(cfg).eval()


def write(weights: dict[str, Tensor], file: Path) -> str:
    """As on the hub, or as timm's training leaves a checkpoint."""
    if file.suffix == '.safetensors':
        safetensors.torch.save_file(weights, file)
    else:
        of_training = {f'module.{name}': value for name, value in weights.items()}
        torch.save(dict(epoch=3, arch='resnet50', state_dict=of_training), file)
    return str(file)


@pytest.mark.parametrize(('depth', 'kind'), [(18, 'safetensors'), (50, 'pth.tar')])
def test_a_resnet_of_timm_is_taken_whole(tmp_path: Path, depth: int, kind: str) -> None:
    """Its names fit torchvision's network, whose features ours has then."""
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f'resnet{depth}')().eval()
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    weights = {name: torch.rand(shapes[name]) * 0.1 for name in timm_names(depth)}
    weights = {
        name: torch.tensor(7) if name.endswith('tracked') else value
        for name, value in weights.items()
    }
    theirs.load_state_dict(weights)
    model = network(type='mmpretrain.ResNet', depth=depth)
    (found,) = load_parts(model, dict(backbone=write(weights, tmp_path / f'resnet.{kind}')))
    assert {*found.unused} == {'fc.weight', 'fc.bias'}
    assert not found.missing and not found.other_shape
    images = torch.randn(1, 3, 64, 32)
    body = nn.Sequential(*list(theirs.children())[:-2])
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images)[-1], body(images))


@pytest.mark.parametrize(
    ('backbone', 'names'),
    [
        ('MobileNetV2', ['conv_stem.weight', 'bn1.weight', 'blocks.0.0.conv_dw.weight']),
        ('EfficientNetV2', ['conv_stem.weight', 'bn1.weight', 'blocks.0.0.conv.weight']),
        ('VGG', ['features.0.weight', 'features.1.weight', 'pre_logits.fc1.weight']),
    ],
)
def test_other_names_are_an_error(tmp_path: Path, backbone: str, names: list[str]) -> None:
    depth: dict[str, Any] = dict(depth=11) if backbone == 'VGG' else {}
    model = network(type=f'mmpretrain.{backbone}', **depth)
    file = write({name: torch.ones(8) for name in names}, tmp_path / 'timm.safetensors')
    with pytest.raises(ValueError, match=rf'nothing in .*timm\.safetensors.*{names[0]}'):
        load_parts(model, dict(backbone=file))
