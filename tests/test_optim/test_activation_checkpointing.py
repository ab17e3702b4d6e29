"""``with_cp=True`` trains the same network bit for bit, in one process and in two."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from toy import (
    MASK,
    TASKS,
    begin,
    in_two_ranks,
    registered,
    relations_of,
    task_step,
    toy_batch,
    toy_model,
)

from mmgradsplit.models import MultiTaskDistributedDataParallel, MultiTaskModel
from mmgradsplit.models.task_losses import take_step

STEPS = 2
SPLIT = dict(kind='GradSplitOptimWrapper', relations=relations_of(MASK))
SUMMED = dict(optimizers='shared', update='iteration')
UPGRAD = dict(aggregator=dict(type='torchjd.UPGrad'))
AGGREGATOR = dict(kind='AggregatorOptimWrapper', **UPGRAD)
TASK_NORM = dict(norm_cfg=dict(type='mmgradsplit.TaskNorm'), norm_eval=True)
# By name the optimizer wrapper, arguments of the backbone, and whether training is joint.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    'plain': (dict(kind='OptimWrapper'), {}, False),
    'GradSplit': (SPLIT, {}, False),
    'GradSplit, Eq. 4, UPGrad': (SPLIT | SUMMED | UPGRAD, {}, False),
    'UPGrad in turn': (AGGREGATOR, {}, False),
    'batch norms': (dict(kind='OptimWrapper'), dict(norm_cfg=dict(type='BN')), False),
    'GradSplit, batch norms': (SPLIT, dict(norm_cfg=dict(type='BN')), False),
    'a trained norm a task': (dict(kind='OptimWrapper'), TASK_NORM | dict(norm_eval=False), False),
    'a norm a task, in turn': (dict(kind='MultiTaskOptimWrapper'), TASK_NORM, False),
    'joint': (dict(kind='MultiTaskOptimWrapper'), {}, True),
    # Several passes, whose parts are computed again after the last one.
    'joint, a norm a task': (dict(kind='MultiTaskOptimWrapper'), TASK_NORM, True),
    'joint, UPGrad': (AGGREGATOR, {}, True),
}  # fmt: skip


def trained(name: str, with_cp: bool, rank: int | None) -> dict[str, Tensor]:
    """The weights after a few steps on a batch of four, or on a rank's half of it."""
    cfg, backbone, joint = CASES[name]
    model = toy_model(torch.float64, **backbone, with_cp=with_cp)
    network: nn.Module = model
    if rank is not None:
        network = MultiTaskDistributedDataParallel(model, find_unused_parameters=True)
    optimizer = dict(type='SGD', lr=0.05, momentum=0.9)
    wrapper = registered(network, optimizer=optimizer, **cfg)
    begin(network, wrapper, total=STEPS, task_steps=not joint)
    mine = slice(None) if rank is None else slice(rank, None, 2)
    for step in range(STEPS):
        torch.manual_seed(step)
        for task in TASKS[:1] if joint else TASKS:
            batch = toy_batch(task, step, size=4, dtype=torch.float64)
            batch.update({key: batch[key][mine] for key in ('inputs', 'data_samples')})
            if not joint:
                task_step(network, wrapper, batch)
                continue
            batch.pop('task')
            allocation = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
            batch.update(allocation=allocation[mine], counts=allocation.sum(0))
            take_step(network, batch, wrapper)
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_the_same(name: str, rank: int | None) -> None:
    without, with_cp = (trained(name, cp, rank) for cp in (False, True))
    different = [key for key, value in without.items() if not torch.equal(with_cp[key], value)]
    assert not different, f'{name}: {different}'


def reentrant_model() -> MultiTaskModel:
    """A part of it says that it is reentrant, as mmengine's ``activation_checkpointing`` does."""
    model = toy_model()
    layer = model.backbone.layer4
    forward = layer.forward
    layer.forward = lambda x: checkpoint(forward, x, use_reentrant=True)
    return model


def in_rank(rank: int, folder: Path) -> None:
    for name in CASES:
        assert_the_same(name, rank)
    model = reentrant_model()
    network = MultiTaskDistributedDataParallel(model, find_unused_parameters=True)
    wrapper = registered(network, 'MultiTaskOptimWrapper')
    begin(network, wrapper)
    with pytest.raises(ValueError, match=r"\['red'\].*reentrant.*set with_cp=False"):
        task_step(network, wrapper, toy_batch('red', 0))


def test_in_two_processes(tmp_path: Path) -> None:
    in_two_ranks(in_rank, tmp_path)


def test_gradients_of_single_tasks_need_the_graph() -> None:
    model = reentrant_model()
    wrapper = registered(model, **AGGREGATOR)
    begin(model, wrapper)
    with pytest.raises(ValueError, match=r'set with_cp=False'):
        task_step(model, wrapper, toy_batch('red', 0))


@pytest.mark.parametrize('name', CASES)
def test_in_one_process(name: str) -> None:
    assert_the_same(name, None)
