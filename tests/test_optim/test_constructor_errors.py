"""Wrong configs of GradSplitOptimWrapper: each error names the key before the first step."""

import pytest
import torch
from mmengine.optim import OptimWrapperDict
from mmengine.registry import MODELS as ROOT_MODELS
from torch import nn
from toy import BACKBONE, build_wrapper, classifier, toy_model

from mmgradsplit.optim import GradSplitOptimWrapper
from mmgradsplit.registry import MODELS, OPTIM_WRAPPERS


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
    ],
    ids=str,
)
def test_wrong_values(cfg, words):
    with pytest.raises(ValueError, match=words):
        build_wrapper(toy_model(), **cfg)


def test_fewer_filters_than_tasks():
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            backbone=dict(BACKBONE, stem_channels=4),
            tasks={f'task{i}': classifier() for i in range(5)},
        )
    )
    with pytest.raises(ValueError, match=r"optim_wrapper\.modules: 'conv1' has 4 filters.*5 tasks"):
        build_wrapper(model, modules=['conv1'])


def test_plain_model():
    model = ROOT_MODELS.build(dict(classifier(), _scope_='mmpretrain', backbone=dict(BACKBONE)))
    with pytest.raises(ValueError, match=r'MultiTaskModel.*ImageClassifier.*model\.type'):
        build_wrapper(model)
    with pytest.raises(ValueError, match='MultiTaskModel'):
        build_wrapper(nn.Linear(1, 1))


def test_transposed_convolutions_are_not_split():
    """Their output channels are in the second dimension: a slice would mix the groups."""
    model = toy_model()
    model.backbone.layer4.add_module('up', nn.ConvTranspose2d(64, 64, 2))
    wrapper = build_wrapper(model, relations='none')
    up = model.backbone.layer4.up.weight
    assert [leaf.param is up for leaf in wrapper.leaves if leaf.source is up] == [True]


def test_the_config_is_left_as_it_is():
    cfg = dict(
        optimizer=dict(type='SGD', lr=0.1),
        clip_grad=dict(type='norm', max_norm=1.0),
        modules=['layer4'],
        base=dict(type='OptimWrapper'),
    )
    text = repr(cfg)
    build_wrapper(toy_model(), **cfg)
    assert repr(cfg) == text


def test_it_is_a_registered_optim_wrapper_dict_of_upstreams():
    assert OPTIM_WRAPPERS.get('GradSplitOptimWrapper') is GradSplitOptimWrapper
    wrapper = build_wrapper(toy_model(), optimizer=dict(type='AdamW', lr=0.1))
    assert isinstance(wrapper, OptimWrapperDict)
    for name, one in wrapper.items():
        assert name in wrapper
        assert isinstance(one.optimizer, torch.optim.AdamW)
