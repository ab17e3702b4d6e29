"""What the tests of training on a GPU look at."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.runner import Runner
from torch import nn

# Asked for by cuBLAS in deterministic mode, before it is used for the first time.
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')


def watch_groups(runner: Runner, tasks: Sequence[str]) -> dict[str, list[int]]:
    """Count in which steps filter groups of layer4 move, of two tasks that share none.

    Args:
        runner: A runner that has not trained yet.
        tasks: Names of the two tasks, in order.

    Returns:
        By task, filled while the runner trains: how many times the task's steps moved a group of
        its own, and one of the other task; and the number of convolutions.
    """
    model, train_step = runner.model, runner.model.train_step
    convs = [m for m in model.backbone.layer4.modules() if isinstance(m, nn.Conv2d)]
    moved = {task: [0, 0, len(convs)] for task in tasks}

    def watched(batch: dict, optim_wrapper: Any) -> Any:
        before = [conv.weight.detach().clone() for conv in convs]
        logs = train_step(batch, optim_wrapper)
        own = tasks.index(batch['task'])
        for old, conv in zip(before, convs, strict=True):
            half = len(old) // 2
            changed = [
                not torch.equal(old[part], conv.weight[part])
                for part in (slice(0, half), slice(half, 2 * half))
            ]
            moved[batch['task']][0] += changed[own]
            moved[batch['task']][1] += changed[1 - own]
        return logs

    model.train_step = watched
    return moved
