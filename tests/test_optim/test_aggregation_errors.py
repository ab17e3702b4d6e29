"""Aggregators that do not fit, and the config key that asks for one."""

import sys
from pathlib import Path

import pytest
import torch
from fixtures_training import run
from toy import toy_batch, toy_model
from toy_aggregation import joint_step, toy, wrapper_of
from toy_joint import joint_config
from toy_run import ToyModel

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.optim import AggregatorOptimWrapper


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(aggregator=dict(type='torchjd.PCGrade')), r"known ones.*mean 'torchjd\.PCGrad'"),
        (dict(aggregator=dict(type='UPGrad')), r"mean 'torchjd\.UPGrad'"),
        (dict(aggregator=dict(type='torchjd.WeightedAggregator')), 'there is no'),
        (dict(aggregator=dict(type='torchjd.CAGrad')), r"torchjd\.CAGrad\).*'c'"),
        (dict(aggregator=dict(type='torchjd.PCGrad', c=1)), r"torchjd\.PCGrad\).*'c'"),
        (dict(aggregator=dict(type='torchjd.MGDA', epsilon=-1)), 'epsilon must be positive'),
        (
            dict(aggregator=dict(type='torchjd.Constant', weights=dict(add=1, depth=2))),
            r'aggregator\.weights must have a number for each of the tasks',
        ),
        (dict(aggregator=dict(type='ToyTrunk')), 'is no torchjd.aggregation.Aggregator'),
        (dict(aggregator='torchjd.PCGrad'), r"must be a dict such as dict\(type='torchjd\.PCGrad"),
        (dict(aggregator=None), 'aggregator is missing'),
        (dict(on='last'), "on must be 'backbone', 'features', 'last_layer' or a list"),
        (dict(on=['layer4']), r"'layer4' matches no module of the ToyTrunk.*\['conv'\]"),
    ],
)
def test_a_config_that_does_not_fit(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrapper_of(toy(), 'UPGrad', **options)


def test_an_unknown_aggregator_ends_a_run_before_it_trains(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, optim_wrapper__aggregator=dict(type='torchjd.MGADA'))
    with pytest.raises(ValueError, match=r"mean 'torchjd\.MGDA'"):
        run(cfg, tmp_path)
    assert not list(tmp_path.glob('*.pth'))


def test_rows_that_do_not_fit_the_aggregator_name_the_tasks() -> None:
    model = toy()
    wrapper = wrapper_of(model, 'Krum', aggregator=dict(type='torchjd.Krum', n_byzantine=2))
    with pytest.raises(ValueError, match=r"aggregator, on the gradients of \['add'.*5 rows"):
        joint_step(model, wrapper, [0])


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torchjd._mixins.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'optim_wrapper\.aggregator.*cvxpy.*pip install'):
        wrapper_of(toy(), 'CAGrad')
    monkeypatch.setitem(sys.modules, 'torchjd', None)
    with pytest.raises(ImportError, match=r'aggregator needs TorchJD: pip install'):
        wrapper_of(toy(), 'UPGrad')


def test_models_that_do_not_fit() -> None:
    with pytest.raises(
        ValueError,
        match='AggregatorOptimWrapper needs a MultiTaskModel, but',
    ):
        wrapper_of(ToyModel(), 'UPGrad')
    model = toy()
    for param in model.backbone.parameters():
        param.requires_grad_(False)
    with pytest.raises(ValueError, match='nothing to aggregate'):
        wrapper_of(model, 'UPGrad')
    checkpointed = toy_model(with_cp=True)
    with pytest.raises(ValueError, match=r'set with_cp=False'):
        checkpointed.train_step(toy_batch('red', 0), wrapper_of(checkpointed, 'UPGrad'))
    with pytest.raises(ValueError, match='no task losses'):
        wrapper_of(toy(), 'UPGrad').update_params(torch.ones((), requires_grad=True))
    with pytest.raises(ValueError, match='constructor='):
        AggregatorOptimWrapper(optimizer=torch.optim.SGD(toy().parameters(), lr=1.0))


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        (None, 'AggregatorOptimWrapper'),
        ('OptimWrapper', 'AggregatorOptimWrapper'),
        ('AmpOptimWrapper', 'AmpAggregatorOptimWrapper'),
        ('mmgradsplit.AutocastOptimWrapper', 'AutocastAggregatorOptimWrapper'),
        ('AggregatorOptimWrapper', 'AggregatorOptimWrapper'),
    ],
)
def test_one_key_asks_for_an_aggregator(kind: str | None, expected: str, tmp_path: Path) -> None:
    cfg = joint_config(tmp_path)
    if kind is not None:
        cfg.optim_wrapper.type = kind
    options = {'optim_wrapper.aggregator.type': 'torchjd.PCGrad'}
    wrapper = prepare(cfg, tmp_path, cfg_options=options).optim_wrapper
    assert wrapper.type.removeprefix('mmgradsplit.') == expected
    assert wrapper.constructor == 'mmgradsplit.TaskGradientOptimWrapperConstructor'


def test_cosreg_takes_no_aggregator(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path)
    cfg.optim_wrapper.update(type='CosRegOptimWrapper', aggregator=dict(type='torchjd.MGDA'))
    with pytest.raises(ValueError, match="aggregator: 'CosRegOptimWrapper' takes none"):
        prepare(cfg, tmp_path)
