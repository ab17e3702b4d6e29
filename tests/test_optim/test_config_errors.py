"""Wrong configs of the optimizer wrappers: each error names the key before the first step."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import run
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn
from toy import BACKBONE, build_wrapper, classifier, registered, toy_batch, toy_model
from toy_aggregation import joint_step, toy, wrapper_of
from toy_joint import joint_config
from toy_run import ToyModel

from mmgradsplit.models import STAMaskRCNN
from mmgradsplit.optim import GradSplitOptimWrapper
from mmgradsplit.registry import MODELS, OPTIM_WRAPPERS

# Of each wrapper, what its config has to have.
KINDS: dict[str, dict[str, Any]] = dict(
    MultiTaskOptimWrapper={},
    AggregatorOptimWrapper=dict(aggregator=dict(type='torchjd.PCGrad')),
    CosRegOptimWrapper={},
    GradSplitOptimWrapper=dict(relations='all', modules=['conv']),
)

# ---- every wrapper ----


@pytest.mark.parametrize('kind', KINDS)
def test_keys_that_nobody_knows(kind: str) -> None:
    options = KINDS[kind] | dict(acumulative_counts=2)
    with pytest.raises(ValueError, match=rf"'acumulative_counts'.*{kind} does not.*OptimWrapper"):
        registered(toy(), kind, **options)
    base = dict(base=dict(type='AutocastOptimWrapper', loss_scale='dynamic'))
    with pytest.raises(ValueError, match=r"'loss_scale'.*mmengine's AutocastOptimWrapper"):
        registered(toy(), kind, **KINDS[kind], **base)


@pytest.mark.parametrize('kind', ['MultiTaskOptimWrapper', 'CosRegOptimWrapper'])
def test_a_key_of_another_method(kind: str) -> None:
    with pytest.raises(ValueError, match=r"'aggregator'.*_delete_=True, or choose .* --method"):
        registered(toy(), kind, aggregator=dict(type='torchjd.PCGrad'))


@pytest.mark.parametrize('kind', KINDS)
def test_models_without_task_losses(kind: str) -> None:
    with pytest.raises(ValueError, match=f'{kind} makes.*is a ToyModel.*MultiTaskModel'):
        registered(ToyModel(), kind, **KINDS[kind])


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'MultiTaskOptimWrapper'])
def test_a_model_whose_tasks_have_no_parameters_of_their_own(kind: str) -> None:
    """Mask R-CNN of STA: the weightings serve it, masks and aggregators do not."""

    class Detector(BaseModel):
        tasks, loss_weights = STAMaskRCNN.tasks, STAMaskRCNN.loss_weights
        task_losses = STAMaskRCNN.task_losses

        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Conv2d(3, 8, 1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.backbone(inputs)

    model = Detector()
    with pytest.raises(ValueError, match='MultiTaskModel, but the model is a Detector'):
        registered(model, kind, **KINDS[kind])
    wrapper = registered(model, 'MultiTaskOptimWrapper')
    # mmdet adds the losses up.
    losses = dict(det=torch.tensor(2.0), mask=torch.tensor(3.0))
    assert wrapper.weigh(losses).item() == 5


@pytest.mark.parametrize('kind', KINDS)
def test_losses_and_model_wrappers_of_mmengine(kind: str) -> None:
    model = toy()
    wrapper = registered(model, kind, **KINDS[kind])
    with pytest.raises(TypeError, match=r'update_tasks.*MultiTaskDistributedDataParallel'):
        wrapper.update_params(torch.ones((), requires_grad=True))
    with pytest.raises(ValueError, match=r"model_wrapper_cfg\.type .*not 'DataParallel'"):
        registered(nn.DataParallel(model), kind, **KINDS[kind])


# ---- GradSplit ----


@pytest.mark.parametrize('relations', [{}, dict(relations=None)])
def test_relations_have_to_be_said(relations: dict) -> None:
    with pytest.raises(ValueError, match=r"relations is missing.*JSON file.*'all'.*'none'"):
        registered(toy_model(), 'GradSplitOptimWrapper', **relations)


@pytest.mark.parametrize(
    ('cfg', 'words'),
    [
        (dict(modules=['layer5']), r"optim_wrapper\.modules: 'layer5' matches no module.*layer4"),
        (dict(modules=['layer4', 'x*']), r"optim_wrapper\.modules: 'x\*' matches no module"),
        (dict(modules=['backbone.layer4']), r"optim_wrapper\.modules: 'backbone.layer4'"),
        (dict(modules=['layer4.0.gn1']), r'optim_wrapper\.modules: .* holds no convolution'),
        (dict(optimizers='both'), r"optim_wrapper\.optimizers .*'separate', 'shared'.*'both'"),
        (dict(update='epoch'), r"optim_wrapper\.update .*'step', 'iteration'.*'epoch'"),
        (dict(update='iteration'), r"optim_wrapper\.optimizers='shared'"),
        (dict(relations=[[0]]), r'optim_wrapper\.relations'),
        (dict(relations=[[0] * 3] * 3, threshold=float('nan')), r'optim_wrapper\.threshold'),
        (
            dict(base=dict(type='AmpOptimWrapper'), optimizers='shared', accumulative_counts=2),
            r"a loss scale that all tasks share.*use optimizers='separate'",
        ),
    ],
    ids=str,
)
def test_values_that_gradsplit_does_not_have(cfg: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build_wrapper(toy_model(), **cfg)


def test_fewer_filters_than_tasks() -> None:
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            backbone=dict(BACKBONE, stem_channels=4),
            tasks={f'task{i}': classifier() for i in range(5)},
        )
    )
    with pytest.raises(ValueError, match=r"optim_wrapper\.modules: 'conv1' has 4 filters.*5 tasks"):
        build_wrapper(model, modules=['conv1'])


def test_a_plain_model_of_a_toolbox() -> None:
    model = ROOT_MODELS.build(dict(classifier(), _scope_='mmpretrain', backbone=dict(BACKBONE)))
    with pytest.raises(ValueError, match=r'ImageClassifier.*model\.type.*MultiTaskModel'):
        registered(model, 'GradSplitOptimWrapper', relations='all')


def test_a_step_of_no_task() -> None:
    model = toy_model()
    with pytest.raises(RuntimeError, match=r'told the task of a step \(begin_step\)'):
        model.train_step(toy_batch('red', 0), optim_wrapper=build_wrapper(model))


def test_transposed_convolutions_are_not_split() -> None:
    """Their output channels are in the second dimension: a slice would mix the groups."""
    model = toy_model()
    model.backbone.layer4.add_module('up', nn.ConvTranspose2d(64, 64, 2))
    wrapper = build_wrapper(model, relations='none')
    up = model.backbone.layer4.up.weight
    assert [leaf.param is up for leaf in wrapper.leaves if leaf.source is up] == [True]


def test_the_config_is_left_as_it_is() -> None:
    cfg = dict(
        optimizer=dict(type='SGD', lr=0.1),
        clip_grad=dict(type='norm', max_norm=1.0),
        modules=['layer4'],
        base=dict(type='OptimWrapper'),
    )
    text = repr(cfg)
    build_wrapper(toy_model(), **cfg)
    assert repr(cfg) == text


def test_it_is_a_registered_optim_wrapper_dict_of_upstreams() -> None:
    assert OPTIM_WRAPPERS.get('GradSplitOptimWrapper') is GradSplitOptimWrapper
    wrapper = build_wrapper(toy_model(), optimizer=dict(type='AdamW', lr=0.1))
    assert isinstance(wrapper, OptimWrapperDict)
    for name, one in wrapper.items():
        assert name in wrapper
        assert isinstance(one.optimizer, torch.optim.AdamW)


# ---- aggregators ----


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
        (dict(aggregator='torchjd.PCGrad'), r"must be a dict such as dict\(type='torchjd\.PCGrad"),
        (dict(aggregator=None), 'aggregator is missing'),
        (dict(on='last'), "on must be 'backbone', 'features', 'last_layer' or a list"),
        (dict(on=['layer4']), r"'layer4' matches no module of the ToyTrunk.*\['conv'\]"),
    ],
)
def test_values_that_the_aggregator_does_not_have(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrapper_of(toy(), 'UPGrad', **options)


def test_an_unknown_aggregator_ends_a_run_before_it_trains(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, optim_wrapper__type='AggregatorOptimWrapper')
    cfg.optim_wrapper.aggregator = dict(type='torchjd.MGADA')
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


def test_nothing_to_aggregate() -> None:
    model = toy()
    model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match='nothing to aggregate'):
        wrapper_of(model, 'UPGrad')
