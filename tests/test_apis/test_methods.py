"""Methods by name: every one trains its own way, or says why not."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_deeplab import deeplab_config
from fixtures_training import load, run
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from toy_aggregation import ARGUMENTS
from toy_joint import TASKS
from toy_weighting import config

from mmgradsplit.apis.methods import METHODS, UNIFORM, known_methods, use_method
from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

ACCURACIES = [f'{task}/accuracy' for task in TASKS]
REFERENCES = dict.fromkeys(ACCURACIES, 80.0)
ON_FEATURES = [name for name, keys in METHODS.items() if keys.get('optim_wrapper.on') == 'features']
NOT_IN_TURN = dict.fromkeys(ON_FEATURES, "on='features': in round-robin training every task has")
NOT_IN_TURN.update(cosreg='it needs joint training', famo='take joint training with a single')


def method_config(folder: Path, name: str, in_turn: bool = False) -> Config:
    """A training by a method, in place of GradSplit and uncertainty weighting."""
    cfg = config(folder, dict(type='torchjd.UW'), validated=True, train_cfg__max_epochs=4)
    cfg.model.backbone.type = 'ToyTwoLayers'
    optimizer = dict(type='SGD', lr=0.02, momentum=0.9)
    cfg.optim_wrapper = dict(
        type='GradSplitOptimWrapper', optimizer=optimizer, relations='none', modules=['last'],
        base=dict(clip_grad=dict(max_norm=5.0)),
    )  # fmt: skip
    if in_turn:
        cfg.train_dataloader = dict.fromkeys(TASKS, cfg.train_dataloader)
        cfg.train_cfg = dict(type='RoundRobinTrainLoop', max_epochs=4, iters_per_epoch=3)
    use_method(cfg, name, ACCURACIES, REFERENCES)
    assert cfg.optim_wrapper.optimizer == optimizer
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    if name == 'dropgrad':
        cfg.optim_wrapper.modules = ['last']
    return cfg


def trained(folder: Path, name: str, in_turn: bool = False) -> dict[str, torch.Tensor]:
    """The backbone's weights after the training."""
    run(method_config(folder, name, in_turn), folder)
    weights = load(folder / 'epoch_4.pth')['state_dict']
    return {key: value for key, value in weights.items() if key.startswith('backbone')}


@functools.cache
def uniform(in_turn: bool) -> dict[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        return trained(Path(folder), UNIFORM, in_turn)


def check_own_way(folder: Path, name: str, in_turn: bool) -> None:
    weights = trained(folder, name, in_turn)
    assert all(bool(value.isfinite().all()) for value in weights.values())
    changes = [float((value - uniform(in_turn)[key]).abs().max()) for key, value in weights.items()]
    assert max(changes) > 1e-6 or name == UNIFORM


@pytest.mark.parametrize('name', METHODS)
def test_jointly(name: str, tmp_path: Path) -> None:
    check_own_way(tmp_path, name, in_turn=False)


@pytest.mark.parametrize('name', METHODS)
def test_in_turn(name: str, tmp_path: Path) -> None:
    if name not in NOT_IN_TURN:
        check_own_way(tmp_path, name, in_turn=True)
        return
    with pytest.raises(ValueError, match=NOT_IN_TURN[name]):
        trained(tmp_path, name, in_turn=True)
    assert not list(tmp_path.glob('*.pth'))


def test_any_name_of_torchjd(tmp_path: Path) -> None:
    names = [name for name in known_methods() if name.startswith('torchjd.')]
    assert {'torchjd.FairGrad', 'torchjd.GeometricMean'} <= set(names)
    for name in names:
        cfg = method_config(tmp_path / name, name)
        aggregator = cfg.optim_wrapper.get('aggregator')
        chosen = aggregator or cfg.model.weighting
        assert (chosen.type, bool(aggregator)) == (name, 'weighting' not in cfg.model)
        if aggregator and name.removeprefix('torchjd.') not in [*ARGUMENTS, 'Mean']:
            check_own_way(tmp_path / name, name, in_turn=False)


def test_gradnorm_has_a_rate_of_its_own(tmp_path: Path) -> None:
    cfg = method_config(tmp_path, 'gradnorm')
    runner = run(cfg, tmp_path)
    groups = runner.optim_wrapper.optimizer.param_groups
    rates = {group['lr'] for group in groups for p in group['params'] if p.shape == (3,)}
    assert sorted(rates) == [pytest.approx(0.025)]


def test_dropgrad_finds_layer4_within_a_backbone_with_neck(tmp_path: Path) -> None:
    cfg = deeplab_config('uniform_r50_deeplabv3plus_nyuv2', tmp_path, tmp_path)
    use_method(cfg, 'dropgrad')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, prepare(cfg).optim_wrapper)
    names = {param: name for name, param in model.named_parameters()}
    dropped = [names[param] for param in wrapper['seg'].drop.params]
    assert dropped and all('.layer4.' in name for name in dropped)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('pcgard', r"no method 'pcgard'.*mean 'pcgrad'"),
        ('torchjd.FairGard', r"mean 'torchjd\.Fair"),
    ],
)
def test_unknown(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        method_config(tmp_path, name)


@pytest.mark.parametrize('name', ['dtp', 'amtl', 'amtl_arithmetic'])
def test_accuracies_missing(name: str, tmp_path: Path) -> None:
    cfg: Any = config(tmp_path, dict(type='UniformWeighting'))
    with pytest.raises(ValueError, match=f"'{name}' needs the"):
        use_method(cfg, name)


@pytest.mark.parametrize('base', [False, True])
def test_mixed_precision_in_the_config(base: bool, tmp_path: Path) -> None:
    cfg: Any = config(tmp_path, dict(type='UniformWeighting'))
    mixed = dict(type='AutocastOptimWrapper', dtype='bfloat16')
    cfg.merge_from_dict({'optim_wrapper.base' if base else 'optim_wrapper': mixed})
    before = cfg.to_dict()
    where = rf'optim_wrapper\.{"base." if base else ""}type.*--amp'
    with pytest.raises(ValueError, match=where):
        use_method(cfg, 'cosreg')
    assert cfg.to_dict() == before
