"""GradSplit's leaves follow a parameter to new storage; its states go to no other filters."""

import copy

import pytest
import torch
from torch import nn
from toy import MASK, TASKS, assert_same_weights, build_wrapper, finish, relations_of, toy_model

LAST = 'backbone.layer4.1.conv2.weight'


def moved(model: nn.Module) -> None:
    """Give every parameter new storage, as ``.to`` does."""
    for param in model.parameters():
        param.data = param.data.clone()


def test_new_storage_changes_nothing() -> None:
    """Before the training, and between two steps of a training."""
    model, other = toy_model(), toy_model()
    options = dict(relations=relations_of(MASK), optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
    wrapper, theirs = build_wrapper(model, **options), build_wrapper(other, **options)
    finish(other, theirs, [0, 1])
    finish(model, wrapper, [0])
    before = model.get_parameter(LAST).detach().clone()
    moved(model)
    finish(model, wrapper, [1])
    assert not torch.equal(model.get_parameter(LAST), before)
    assert_same_weights(model, other)


def test_another_memory_format_is_followed() -> None:
    model = toy_model()
    wrapper = build_wrapper(model)
    before = model.get_parameter(LAST).detach().clone()
    model.to(memory_format=torch.channels_last)
    finish(model, wrapper, [0])
    different = (model.get_parameter(LAST) != before).flatten(1).any(dim=1)
    assert different[: 21 * len(TASKS)].all()


def test_another_type_is_an_error() -> None:
    model = toy_model()
    wrapper = build_wrapper(model)
    finish(model, wrapper, [0])
    model.double()
    with pytest.raises(
        RuntimeError, match=r'moved from cpu \(torch.float32\) to cpu \(torch.float64'
    ):
        wrapper.begin_step(['red'], False)


def test_another_parameter_is_an_error() -> None:
    model = toy_model()
    wrapper = build_wrapper(model)
    conv = model.backbone.layer1[0].conv1
    conv.weight = nn.Parameter(conv.weight.detach().clone())
    with pytest.raises(RuntimeError, match=r"'backbone\.layer1\.0\.conv1\.weight' is another"):
        wrapper.begin_step(['red'], False)


def test_a_checkpoint_of_another_mask_is_refused() -> None:
    """The optimizers have as many states as here, but of the filters of other tasks."""
    state = build_wrapper(toy_model(), relations=relations_of(MASK)).state_dict()
    turned = [list(row) for row in zip(*MASK, strict=True)]
    wrapper = build_wrapper(toy_model(), relations=relations_of(turned))
    message = "another relation mask .* there 'green' may not train the filters of 'red'"
    with pytest.raises(ValueError, match=message):
        wrapper.load_state_dict(copy.deepcopy(state))


def test_a_checkpoint_of_other_modules_is_refused() -> None:
    state = build_wrapper(toy_model(), modules=['layer3']).state_dict()
    wrapper = build_wrapper(toy_model(), modules=['layer4'])
    with pytest.raises(ValueError, match=r'other filter groups .*modules.*layer3.* is split there'):
        wrapper.load_state_dict(state)
