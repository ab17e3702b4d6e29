"""The contract of a training step: what a model hands the optimizer wrapper."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from fixtures_ranks import on_two_ranks
from fixtures_training import load
from torch import Tensor, nn
from toy_aggregation import batch_of, gradient, joint_batch, task_loss, toy
from toy_joint import TASKS

from mmgradsplit.models import MultiTaskDistributedDataParallel

# Of six samples, the even ones on rank 0: with few annotations, with none for 'norm', and with none
# at all on rank 1.
ALLOCATIONS = [
    [[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]],
    [[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0]],
    [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]],
]


class Recorder:
    """An optimizer wrapper that takes note of what it is handed, and updates nothing."""

    def __init__(self) -> None:
        self.handed: list[Mapping[str, Tensor]] = []
        self.entered: list[nn.Module] = []

    @contextmanager
    def optim_context(self, network: nn.Module) -> Iterator[None]:
        self.entered.append(network)
        yield
        assert not self.handed, 'the update is outside the context of the forward pass'

    def update_tasks(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.handed.append(losses)
        return {'noted': torch.tensor(1.0)}


def step(network: nn.Module, batch: dict[str, Any]) -> tuple[Mapping[str, Tensor], dict]:
    """What a training step hands over, and what it logs."""
    recorder = Recorder()
    logs = network.train_step(batch, optim_wrapper=recorder)
    (handed,) = recorder.handed
    assert recorder.entered == [network]
    return handed, logs


def supervised(allocation: Sequence[Sequence[int]]) -> dict[str, list[int]]:
    """The samples of each task that has any."""
    rows = {
        task: np.flatnonzero(column).tolist()
        for task, column in zip(TASKS, np.array(allocation).T, strict=True)
    }
    return {task: own for task, own in rows.items() if own}


def assert_written_out(
    model: Any, handed: Mapping[str, Tensor], of: Mapping[str, list[int]]
) -> None:
    """Scalars, the mean of each task over its samples, and nothing of other tasks."""
    assert list(handed) == list(of)
    for task, samples in of.items():
        assert handed[task].shape == ()
        torch.testing.assert_close(
            handed[task], task_loss(model, task, samples)[0].detach(), rtol=1e-12, atol=0
        )


@pytest.mark.parametrize('allocation', ALLOCATIONS)
def test_a_step_on_an_allocation(allocation: list) -> None:
    model, of = toy(), supervised(allocation)
    handed, logs = step(model, joint_batch(range(6), allocation=allocation))
    assert_written_out(model, {t: loss.detach() for t, loss in handed.items()}, of)
    params = list(model.backbone.parameters())
    for task, samples in of.items():
        expected = gradient(task_loss(model, task, samples)[0], params)
        torch.testing.assert_close(gradient(handed[task], params), expected, rtol=1e-12, atol=1e-15)
    # Full names; what the wrapper made of the losses it alone can say.
    parts = {f'{task}/{name}' for task in of for name in ('loss', 'loss_square')}
    assert set(logs) == {*parts, 'noted'}


@pytest.mark.parametrize('task', TASKS)
def test_a_task_step(task: str) -> None:
    model = toy()
    handed, logs = step(model, dict(batch_of([1, 4, 5]), task=task))
    assert_written_out(model, {t: loss.detach() for t, loss in handed.items()}, {task: [1, 4, 5]})
    assert set(logs) == {f'{task}/loss', f'{task}/loss_square', 'noted'}


def test_losses_without_an_update_are_those_of_a_step() -> None:
    model = toy()
    batch = joint_batch(range(6), allocation=ALLOCATIONS[1])
    handed, _ = step(model, dict(batch))
    losses = model.compute_losses(dict(batch)).losses
    assert {t: float(loss) for t, loss in losses.items()} == {
        t: float(loss) for t, loss in handed.items()
    }


def hand_over(rank: int, folder: Path) -> None:
    """Every allocation, then every task alone; the mean of the gradients is DDP's."""
    dist.init_process_group('gloo')
    network = MultiTaskDistributedDataParallel(module=toy(), find_unused_parameters=True)
    samples, found = range(rank, 6, 2), []
    batches = [
        joint_batch(
            samples,
            allocation=np.array(allocation)[samples],
            counts=np.array(allocation).sum(0),
        )
        for allocation in ALLOCATIONS
    ]
    for batch in batches + [dict(batch_of(samples), task=task) for task in TASKS]:
        handed, _ = step(network, batch)
        network.zero_grad()
        sum(handed.values()).backward()
        grads = [param.grad for param in network.module.backbone.parameters()]
        values = {task: loss.detach() for task, loss in handed.items()}
        found.append((values, torch.cat([grad.flatten() for grad in grads])))
    torch.save(found, folder / f'{rank}.pt')


def test_two_ranks_hand_over_the_means_of_all_samples(tmp_path: Path) -> None:
    on_two_ranks(hand_over, tmp_path)
    model = toy()
    cases = [supervised(allocation) for allocation in ALLOCATIONS]
    cases += [{task: list(range(6))} for task in TASKS]
    for rank in (0, 1):
        for of, (values, grads) in zip(cases, load(tmp_path / f'{rank}.pt'), strict=True):
            assert_written_out(model, values, of)
            total = sum(task_loss(model, task, samples)[0] for task, samples in of.items())
            expected = gradient(total, list(model.backbone.parameters()))
            torch.testing.assert_close(grads, expected, rtol=1e-12, atol=1e-15)
