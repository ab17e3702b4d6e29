"""CosReg against numerical derivatives of its loss, in float64."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_training import run, scalars
from toy import assert_close
from toy_aggregation import joint_batch, joint_step, task_matrix, toy, values, wrapper_of
from toy_joint import TASKS, joint_config

SAMPLES = [0, 1, 2, 3]
WEIGHT = 0.7


def cos_reg(model: Any, on: Any = 'backbone', **cfg: Any) -> Any:
    return wrapper_of(model, None, kind='CosRegOptimWrapper', on=on, **dict(weight=WEIGHT) | cfg)


def squares(matrix: torch.Tensor) -> float:
    """The sum over pairs of rows of the squared cosine."""
    lengths = [math.sqrt(sum(float(x) ** 2 for x in row)) for row in matrix]
    total = 0.0
    for i in range(len(matrix)):
        for j in range(i):
            total += (float(matrix[i] @ matrix[j]) / lengths[i] / lengths[j]) ** 2
    return total


def objective(model: Any, layer: Any) -> float:
    """The loss of the wrapper, by plain autograd."""
    model.zero_grad()
    loss = float(sum(model.compute_losses(joint_batch(SAMPLES)).losses.values())) / len(TASKS)
    return loss + WEIGHT * squares(task_matrix(model, SAMPLES, params=list(layer.parameters())))


@pytest.mark.parametrize('on', ['backbone', ['last']])
def test_gradient_is_that_of_the_loss_with_squared_cosines(on: Any) -> None:
    model = toy(backbone='ToyTwoLayers')
    layer = model.backbone if on == 'backbone' else model.backbone.last
    params = [model.backbone.first.weight, model.backbone.last.weight, model.tasks.norm.head.weight]
    before = [param.detach().clone() for param in params]
    numerical = []
    for param in params:
        flat = param.data.view(-1)
        for index in range(3):
            ends = []
            for shift in (1e-6, -2e-6):
                flat[index] += shift
                ends.append(objective(model, layer))
            flat[index] += 1e-6
            numerical.append((ends[0] - ends[1]) / 2e-6)
    wrapper = cos_reg(model, on)
    joint_step(model, wrapper, SAMPLES)
    moved = [
        float(change)
        for param, start in zip(params, before, strict=True)
        for change in (start - param.detach()).flatten()[:3]
    ]
    assert moved == pytest.approx(numerical, rel=1e-4, abs=1e-7)


def test_task_gradients_become_orthogonal() -> None:
    model = toy()
    wrapper = cos_reg(model, weight=50.0, optimizer=dict(type='SGD', lr=0.002))
    before = squares(task_matrix(model, SAMPLES))
    for _ in range(100):
        joint_step(model, wrapper, SAMPLES)
    assert squares(task_matrix(model, SAMPLES)) < before / 10


def test_without_weight_it_trains_as_mmengine_does() -> None:
    plain, ours = toy(), toy()
    for model, wrapper in ((plain, wrapper_of(plain, None)), (ours, cos_reg(ours, weight=0))):
        for allocation in ([[1, 1, 1]] * 4, [[1, 0, 1]] * 4, [[0, 1, 0]] * 4):
            joint_step(model, wrapper, SAMPLES, allocation=allocation)
    assert_close(ours, plain)


def test_a_run(tmp_path: Path) -> None:
    cfg = joint_config(tmp_path, train_cfg__allocator=dict(type='STA'))
    cfg.optim_wrapper.update(type='CosRegOptimWrapper', weight=WEIGHT, on=['conv'])
    model = run(cfg, tmp_path).model
    assert values(model.parameters()).isfinite().all()
    assert all(0 <= line['cos_reg'] <= 3 for line in scalars(tmp_path))


def test_what_does_not_fit() -> None:
    model = toy()
    with pytest.raises(ValueError, match='weight must not be negative'):
        cos_reg(model, weight=-1)
    with pytest.raises(ValueError, match='gradients on parameters'):
        cos_reg(model, on='features')
    with pytest.raises(ValueError, match="'head' matches no module of the ToyTrunk"):
        cos_reg(model, on=['head'])
    with pytest.raises(ValueError, match='needs joint training'):
        cos_reg(model, task_steps=True)
