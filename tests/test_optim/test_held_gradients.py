"""HeldGradients against autograd's own convolution."""

import copy

import pytest
import torch
from torch import nn
from toy import MASK, build_wrapper, relations_of, task_step, toy_batch, toy_model

from mmgradsplit.optim.grad_split.held_gradients import HeldGradients

SPANS = [(0, 3), (5, 6)]
HELD, OTHERS = [0, 1, 2, 5], [3, 4, 6, 7]


def gradients(conv: nn.Conv2d, inputs: torch.Tensor, spans: list | None) -> list[torch.Tensor]:
    """Output, and the gradients of weight and input, of one backward pass."""
    inputs = inputs.clone().requires_grad_()
    conv.zero_grad()
    if spans is None:
        output = conv(inputs)
    else:
        with HeldGradients({conv.weight: spans}).of(conv):
            output = conv(inputs)
    output.float().square().sum().backward()
    return [output.detach(), conv.weight.grad.clone(), inputs.grad]


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(stride=2, padding=1),
        dict(dilation=2, padding=(2, 1)),
        dict(padding=1, padding_mode='reflect'),
        dict(padding='same'),
        dict(bias=True),
        dict(groups=4),
    ],
    ids=str,
)
def test_held_filters_get_the_gradient_of_autograd(options):
    conv = nn.Conv2d(4, 8, 3, **{'bias': False, **options}).double()
    inputs = torch.randn(2, 4, 9, 7, dtype=torch.float64)
    output, weight, image = gradients(conv, inputs, SPANS)
    expected = gradients(conv, inputs, None)
    assert torch.equal(output, expected[0])
    torch.testing.assert_close(weight[HELD], expected[1][HELD], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(image, expected[2], rtol=1e-10, atol=1e-12)


def test_other_filters_get_no_gradient():
    conv = nn.Conv2d(4, 8, 3, bias=False)
    _, weight, _ = gradients(conv, torch.randn(2, 4, 9, 7), SPANS)
    assert not weight[OTHERS].any()
    assert all(weight[channel].any() for channel in HELD)


def test_mixed_precision_is_autograds():
    conv = nn.Conv2d(4, 8, 3, bias=False)
    inputs = torch.randn(2, 4, 9, 7)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output, weight, image = gradients(conv, inputs, SPANS)
        expected = gradients(conv, inputs, None)
    assert output.dtype == torch.bfloat16
    assert weight.dtype == torch.float32
    assert torch.equal(output, expected[0])
    torch.testing.assert_close(weight[HELD], expected[1][HELD], rtol=0.02, atol=0.5)
    torch.testing.assert_close(image, expected[2], rtol=0.02, atol=0.5)


def test_a_convolution_that_is_not_named_is_left_alone():
    conv, other = nn.Conv2d(4, 8, 3, bias=False), nn.Conv2d(4, 8, 3, bias=False)
    with HeldGradients({other.weight: SPANS}).of(conv):
        conv(torch.randn(2, 4, 9, 7)).sum().backward()
    assert all(weight.any() for weight in conv.weight.grad)


def test_a_compiled_network_has_a_graph_for_each_task_and_the_same_bits():
    plain = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 1, bias=False))
    compiled = copy.deepcopy(plain)
    compiled.compile(backend='aot_eager', dynamic=False)
    counters = torch._dynamo.utils.counters
    counters.clear()
    for spans in ([(0, 4)], [(4, 8)], [(0, 4)]):
        inputs, found = torch.randn(2, 3, 8, 8), []
        for network in (plain, compiled):
            with HeldGradients({network[2].weight: spans}).of(network):
                output = network(inputs)
            network.zero_grad()
            output.sum().backward()
            found.append([output.detach(), *(param.grad for param in network.parameters())])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
        ((start, stop),) = spans
        moved = [channel for channel in range(8) if found[1][-1][channel].any()]
        assert moved == list(range(start, stop))
    assert counters['stats']['unique_graphs'] == 2 and not counters['graph_break']


def test_a_task_step_computes_the_held_filters_alone():
    """In the model, its effect must not be lost without anyone noticing."""
    model = toy_model()
    wrapper = build_wrapper(model, relations=relations_of(MASK))
    seen = []
    weight = model.backbone.layer4[1].conv2.weight
    weight.register_post_accumulate_grad_hook(lambda param: seen.append(param.grad))
    task_step(model, wrapper, toy_batch('red', 0))
    (grad,) = seen
    moved = [channel for channel in range(64) if grad[channel].any()]
    assert moved == [*range(42), 63]
