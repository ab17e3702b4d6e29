"""GradSplit in joint training: ISTA's sub-steps, accumulated, against updates written out."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures_training import run
from torch import Tensor
from toy import MASK, assert_close, relations_of
from toy_aggregation import DATA, task_loss
from toy_joint import TASKS, joint_config

from mmgradsplit.models import MultiTaskModel

LR = 0.05
# Three iterations of three sub-steps: nine steps a task, of which the last is an update alone.
ITERATIONS, STEPS, COUNTS = 3, 9, 2


def gradients(model: Any, task: str, samples: list[int]) -> dict[str, Tensor]:
    """Those of the loss of a step, ``1/T l_t``, by the name of each parameter that it reaches."""
    names, params = zip(*model.named_parameters(), strict=True)
    loss = task_loss(model, task, samples)[0] / len(TASKS)
    found = torch.autograd.grad(loss, params, allow_unused=True)
    return {name: grad for name, grad in zip(names, found, strict=True) if grad is not None}


def held(name: str, task: str) -> list[int]:
    """Channels that a step of the task may move: two of six a task, in the backbone's layer."""
    if name.startswith('tasks'):
        return [0]
    return [channel for channel in range(6) if MASK[channel // 2][TASKS.index(task)]]


@pytest.mark.parametrize(
    'cfg',
    [
        dict(optimizers='separate'),
        dict(optimizers='shared'),
        dict(optimizers='shared', update='iteration'),
    ],
    ids=str,
)
def test_accumulated_ista_trains_to_its_end(
    cfg: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, list[int]]] = []
    starts: list[Any] = []
    take_step = MultiTaskModel.train_step

    def note(model: Any, data: dict, optim_wrapper: Any) -> dict:
        if not starts:
            starts.append(copy.deepcopy(model))
        rows, columns = np.nonzero(data['allocation'])
        (column,) = set(columns)
        images = [data['inputs'][row] for row in rows]
        numbers = [i for x in images for i in range(12) if torch.equal(DATA[i]['inputs'], x)]
        steps.append((TASKS[column], numbers))
        return take_step(model, data, optim_wrapper)

    monkeypatch.setattr(MultiTaskModel, 'train_step', note)
    config = joint_config(
        tmp_path,
        batch_size=12,
        train_cfg__max_epochs=ITERATIONS,
        train_cfg__allocator=dict(type='ISTA'),
    )
    config.optim_wrapper = dict(
        type='GradSplitOptimWrapper', optimizer=dict(type='SGD', lr=LR), modules=['conv'],
        relations=relations_of(MASK), accumulative_counts=COUNTS, **cfg,
    )  # fmt: skip
    ours = run(config, tmp_path).model
    assert [task for task, _ in steps] == list(TASKS) * STEPS
    assert sorted(number for task, numbers in steps[:9] for number in numbers) == sorted(
        [*range(12)] * len(TASKS)
    )

    (theirs,) = starts
    waiting: dict[str, list[dict[str, Tensor]]] = {task: [] for task in TASKS}
    summed: list[tuple[str, dict[str, Tensor]]] = []
    for number, (task, samples) in enumerate(steps):
        waiting[task].append(gradients(theirs, task, samples))
        done = number // len(TASKS) + 1
        if done % COUNTS == 0 or done == STEPS:
            parts = waiting[task]
            summed.append((task, {n: sum(p[n] for p in parts) / len(parts) for n in parts[0]}))
            waiting[task] = []
        if cfg.get('update') == 'iteration' and task != TASKS[-1]:
            continue
        for of, grads in summed:
            for name, grad in grads.items():
                rows = held(name, of)
                with torch.no_grad():
                    theirs.get_parameter(name)[rows] -= LR * grad[rows]
        summed = []
    assert not any(waiting.values())
    assert_close(ours, theirs)
