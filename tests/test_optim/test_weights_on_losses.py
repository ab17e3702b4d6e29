"""Where the gradient methods act: their equations written out, against steps of SGD with lr=1.

The transcriptions follow the papers: MGDA's Algorithm 1 (Sener and Koltun 2018), IMTL's Algorithm 1
and Equation 5 (Liu et al. 2021), and AMTL's supplement, section B.5.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from toy_aggregation import gradient, joint_step, task_loss, task_matrix, toy, values, wrapper_of
from toy_joint import TASKS

SAMPLES = [0, 1, 2, 3]
CLOSE = dict(rtol=1e-9, atol=1e-12)
TWO = TASKS[:2]


def step_of(model: Any, wrapper: Any, tasks: Any = TASKS) -> tuple[Tensor, dict[str, Tensor]]:
    """How far a step moves the backbone, and each head."""
    backbone = list(model.backbone.parameters())
    heads = {task: list(model.tasks[task].parameters()) for task in tasks}
    before = values(backbone), {task: values(params) for task, params in heads.items()}
    joint_step(model, wrapper, SAMPLES, tasks)
    moved = {task: before[1][task] - values(params) for task, params in heads.items()}
    return before[0] - values(backbone), moved


def head_gradients(model: Any, tasks: Any = TASKS) -> dict[str, Tensor]:
    return {
        task: gradient(task_loss(model, task, SAMPLES)[0], list(model.tasks[task].parameters()))
        for task in tasks
    }


def imtl_g(rows: Tensor) -> Tensor:
    """IMTL, Equation 5: alpha = g_1 U^T (D U^T)^-1 for the tasks after the first; they sum to 1."""
    units = rows / rows.norm(dim=1, keepdim=True)
    differences, unit_differences = rows[0] - rows[1:], units[0] - units[1:]
    later = rows[0] @ unit_differences.T @ torch.linalg.inv(differences @ unit_differences.T)
    return torch.cat([1 - later.sum(0, keepdim=True), later])


def shortest(one: Tensor, two: Tensor) -> Tensor:
    """MGDA for two tasks (Sener and Koltun, Algorithm 1): the weights in closed form."""
    share = (((two - one) @ two) / (one - two).square().sum()).clamp(0, 1)
    return torch.stack([share, 1 - share])


@pytest.mark.parametrize('on', ['last_layer', ['last']])
def test_imtl_g_of_the_last_layer_weighs_the_whole_losses(on: Any) -> None:
    model = toy(backbone='ToyTwoLayers')
    last = list(model.backbone.last.parameters())
    alpha = imtl_g(task_matrix(model, SAMPLES, params=last))
    # Not what the weights of all parameters would be.
    assert not torch.allclose(alpha, imtl_g(task_matrix(model, SAMPLES)), rtol=1e-2)
    expected, heads = alpha @ task_matrix(model, SAMPLES), head_gradients(model)
    wrapper = wrapper_of(model, 'IMTLG', on=on, whole_loss=True, heads='weighted')
    backbone, moved = step_of(model, wrapper)
    torch.testing.assert_close(backbone, expected, **CLOSE)
    for task, weight in zip(TASKS, alpha, strict=True):
        torch.testing.assert_close(moved[task], weight * heads[task], **CLOSE)


def test_imtl_is_the_algorithm_of_its_paper() -> None:
    model = toy(backbone='ToyTwoLayers')
    wrapper = wrapper_of(
        model, 'IMTLG', on='last_layer', whole_loss=True, weighting=dict(type='torchjd.IMTLL')
    )
    scales = torch.tensor([0.5, -1.0, 0.25], dtype=torch.float64)
    learned = wrapper.weighting.scalarizer.log_scale
    learned.data.copy_(scales)
    # L_t = exp(s_t) l_t - s_t, for the gradients, the heads and the scales alike.
    factors = dict(zip(TASKS, scales.exp().tolist(), strict=True))
    last = list(model.backbone.last.parameters())
    alpha = imtl_g(task_matrix(model, SAMPLES, params=last, factors=factors))
    expected = alpha @ task_matrix(model, SAMPLES, factors=factors)
    heads = head_gradients(model)
    losses = torch.stack([task_loss(model, task, SAMPLES)[0].detach() for task in TASKS])
    backbone, moved = step_of(model, wrapper)
    torch.testing.assert_close(backbone, expected, **CLOSE)
    for task in TASKS:
        torch.testing.assert_close(moved[task], factors[task] * heads[task], **CLOSE)
    slopes = scales - learned.detach().to(scales)
    torch.testing.assert_close(slopes, scales.exp() * losses - 1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('normalise', [None, 'l2', 'loss', 'loss+'])
@pytest.mark.parametrize('on', ['backbone', 'features', ['last']])
def test_mgda_normalises_where_it_looks_for_weights(on: Any, normalise: str | None) -> None:
    model = toy(backbone='ToyTwoLayers', tasks=TWO)
    rows, losses = [], []
    for task in TWO:
        loss, features = task_loss(model, task, SAMPLES)
        place = dict(backbone=list(model.backbone.parameters()), features=[features])
        params = place[on] if isinstance(on, str) else list(model.backbone.last.parameters())
        # Lengths that make the closed form an inner point with any normalisation or none.
        rows.append(gradient(loss, params))
        losses.append(loss.detach())
    sizes = [1.0, 1.0]
    if normalise in ('l2', 'loss+'):
        sizes = [size * row.norm() for size, row in zip(sizes, rows, strict=True)]
    if normalise in ('loss', 'loss+'):
        sizes = [size * loss for size, loss in zip(sizes, losses, strict=True)]
    alpha = shortest(*(row / size for row, size in zip(rows, sizes, strict=True)))
    expected, heads = alpha @ task_matrix(model, SAMPLES, TWO), head_gradients(model, TWO)
    wrapper = wrapper_of(
        model,
        'MGDA',
        aggregator=dict(type='torchjd.MGDA', epsilon=1e-12),
        on=on,
        whole_loss=True,
        normalise=normalise,
        heads='weighted',
    )
    backbone, moved = step_of(model, wrapper, TWO)
    torch.testing.assert_close(backbone, expected, **CLOSE)
    for task, weight in zip(TWO, alpha, strict=True):
        torch.testing.assert_close(moved[task], weight * heads[task], **CLOSE)


def test_the_normalisations_differ() -> None:
    found = []
    for normalise in (None, 'l2', 'loss', 'loss+'):
        model = toy(tasks=TWO)
        found.append(step_of(model, wrapper_of(model, 'MGDA', normalise=normalise), TWO)[0])
    for i, one in enumerate(found):
        for other in found[i + 1 :]:
            assert not torch.allclose(one, other, rtol=1e-3)


@pytest.mark.parametrize('on', ['backbone', 'features', 'last_layer'])
@pytest.mark.parametrize(('heads', 'factor'), [('mean', 0.5), ('own', 1.0), ('weighted', None)])
def test_scale_of_the_heads(heads: str, factor: float | None, on: str) -> None:
    weights = dict(add=0.3, first=0.6)
    model = toy(tasks=TWO)
    lambdas = dict(add=2.0, first=0.25)
    single = head_gradients(model, TWO)
    wrapper = wrapper_of(
        model,
        'Constant',
        aggregator=dict(type='torchjd.Constant', weights=weights),
        weighting=dict(type='UniformWeighting', weights=lambdas),
        on=on,
        heads=heads,
    )
    _, moved = step_of(model, wrapper, TWO)
    for task in TWO:
        size = (weights[task] if factor is None else factor) * lambdas[task]
        torch.testing.assert_close(moved[task], size * single[task], **CLOSE)


def test_weighted_heads_of_accumulated_steps_get_the_weight_of_the_update() -> None:
    options = dict(
        heads='weighted', normalise='loss+', optimizer=dict(type='SGD', lr=0.05, momentum=0.9)
    )
    parts, joined = toy(), toy()
    many = wrapper_of(parts, 'MGDA', accumulative_counts=2, **options)
    one = wrapper_of(joined, 'MGDA', **options)
    for samples in ([0, 1], [2, 3], [4, 5], [6, 7]):
        joint_step(parts, many, samples)
    for samples in ([0, 1, 2, 3], [4, 5, 6, 7]):
        joint_step(joined, one, samples)
    for name, param in parts.named_parameters():
        torch.testing.assert_close(param, joined.get_parameter(name), **CLOSE)


def test_whole_losses_of_accumulated_steps_add_up() -> None:
    model = toy(backbone='ToyTwoLayers')
    last = list(model.backbone.last.parameters())
    expected = torch.zeros_like(values(model.backbone.parameters()))
    for samples in ([0, 1, 2], [3, 4, 5]):
        alpha = imtl_g(task_matrix(model, samples, params=last))
        expected += alpha @ task_matrix(model, samples) / 2
    wrapper = wrapper_of(model, 'IMTLG', on='last_layer', whole_loss=True, accumulative_counts=2)
    before = values(model.backbone.parameters())
    for samples in ([0, 1, 2], [3, 4, 5]):
        joint_step(model, wrapper, samples)
    found = before - values(model.backbone.parameters())
    torch.testing.assert_close(found, expected, **CLOSE)


def test_pcgrad_as_a_mean() -> None:
    model = toy(tasks=TWO)
    one, two = task_matrix(model, SAMPLES, TWO, factors=dict(first=1.5))
    assert one @ two < 0
    product = one @ two
    added = one - product / (two @ two) * two + two - product / (one @ one) * one
    weighting = dict(type='UniformWeighting', weights=dict(first=1.5))
    wrapper = wrapper_of(model, 'PCGrad', mean=True, weighting=weighting)
    torch.testing.assert_close(step_of(model, wrapper, TWO)[0], added / 2, **CLOSE)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('MGDA', dict(heads='alpha'), r"heads must be one of \('mean', 'own', 'weighted'\)"),
        ('MGDA', dict(normalise='l1'), "normalise must be one of .* got 'l1'"),
        ('GradDrop', dict(normalise='l2'), 'normalise needs an aggregator that gives a weight'),
        ('ConFIG', dict(whole_loss=True), 'whole_loss needs .*ConFIG gives none'),
        ('GradDrop', dict(heads='weighted'), "heads='weighted' needs .*GradDrop gives none"),
        (
            'IMTLG',
            dict(whole_loss=True, on='last_layer', task_steps=True),
            'round-robin training has one task, so it needs joint training',
        ),
    ],
)
def test_what_does_not_go_together(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrapper_of(toy(), name, **options)


def test_a_loss_of_zero_is_not_divided_by() -> None:
    model = toy()
    wrapper = wrapper_of(
        model,
        'MGDA',
        normalise='loss',
        weighting=dict(type='UniformWeighting', weights=dict(add=0)),
    )
    with pytest.raises(ValueError, match=r"normalise='loss' divides by the losses, but \{'add': 0"):
        joint_step(model, wrapper, SAMPLES)
