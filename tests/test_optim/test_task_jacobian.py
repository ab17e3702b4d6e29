"""The matrix of task gradients, which is not made where it is not needed."""

import pytest
import torch

from mmgradsplit.optim.aggregation.task_jacobian import TaskJacobian

TENSORS = [torch.zeros(2, 3), torch.zeros(4), torch.zeros(())]
TASKS = ['one', 'two', 'three', 'four']


@pytest.fixture
def jacobian() -> TaskJacobian:
    """Of three tasks out of four; the last tensor is used by none, the second by some."""
    jacobian = TaskJacobian(TENSORS, TASKS, factor=3)
    transposed = torch.arange(6.0).view(3, 2).T  # not contiguous
    jacobian.add('four', [torch.ones(2, 3), torch.tensor([1.0, 0.0, 2.0, 0.0]), None])
    jacobian.add('one', [transposed, None, None])
    jacobian.add('two', [torch.ones(()).expand(2, 3), torch.full((4,), -1.0), None])
    jacobian.add('one', [torch.ones(2, 3), None, None])
    return jacobian


ROWS = 3 * torch.tensor(
    [
        [1.0, 3, 5, 2, 4, 6, 0, 0, 0, 0, 0],
        [1.0, 1, 1, 1, 1, 1, -1, -1, -1, -1, 0],
        [1.0, 1, 1, 1, 1, 1, 1, 0, 2, 0, 0],
    ]
)


def test_rows(jacobian: TaskJacobian) -> None:
    assert jacobian.present == ['one', 'two', 'four']
    assert jacobian.used.tolist() == [1, 1, 0]
    torch.testing.assert_close(jacobian.rows(), ROWS)
    torch.testing.assert_close(jacobian.rows(0.5), ROWS / 2)


def test_inner_products_and_sums_are_those_of_the_rows(jacobian: TaskJacobian) -> None:
    torch.testing.assert_close(jacobian.gramian(), ROWS @ ROWS.T)
    weights = [0.5, -2.0, 1.0]
    vector = jacobian.weighted_sum(weights)
    torch.testing.assert_close(vector, torch.tensor(weights) @ ROWS)
    parts = jacobian.split(vector)
    assert [part.shape for part in parts] == [tensor.shape for tensor in TENSORS]
    torch.testing.assert_close(torch.cat([part.flatten() for part in parts]), vector)


def test_gradients_are_neither_copied_nor_changed() -> None:
    jacobian = TaskJacobian([torch.zeros(5)], ['one', 'two'])
    shared = torch.ones(5)
    for task in ('one', 'two'):
        jacobian.add(task, [shared])  # autograd may return one tensor twice
    jacobian.add('one', [shared])
    jacobian.weighted_sum([1.0, 1.0])
    torch.testing.assert_close(jacobian.rows(), torch.tensor([[2.0] * 5, [1.0] * 5]))
    torch.testing.assert_close(shared, torch.ones(5))


def test_no_task_has_a_gradient_of_zero() -> None:
    jacobian = TaskJacobian(TENSORS, TASKS)
    assert jacobian.gramian().shape == (0, 0)
    assert jacobian.weighted_sum([]).tolist() == [0.0] * 11


def test_half_precision_is_computed_in_single() -> None:
    jacobian = TaskJacobian([torch.zeros(1000, dtype=torch.bfloat16)], ['one'])
    jacobian.add('one', [torch.full((1000,), 0.125, dtype=torch.bfloat16)])
    assert jacobian.gramian().item() == 1000 / 64
    assert jacobian.rows().dtype == torch.float32
    assert jacobian.split(jacobian.weighted_sum([1.0]))[0].dtype == torch.bfloat16
