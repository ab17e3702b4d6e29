"""Algorithms 1 and 2 of the STA paper: which tasks a sample has in which sub-step."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mmgradsplit.functional import allocations

CASES = [(size, count) for count in (1, 2, 3, 5) for size in range(1, count + 1)]


@pytest.mark.parametrize(('size', 'count'), CASES)
def test_every_sample_has_every_task_once(size: int, count: int) -> None:
    annotated = np.ones((40, count), bool)
    steps = list(allocations(annotated, size, np.random.default_rng(0)))
    assert len(steps) == -(-count // size)
    assert (sum(step.astype(int) for step in steps) == 1).all()
    assert all((step.sum(1) == size).all() for step in steps[:-1])


@pytest.mark.parametrize(('size', 'count'), CASES)
def test_all_subsets_are_equally_likely(size: int, count: int) -> None:
    annotated = np.ones((6000, count), bool)
    for step in allocations(annotated, size, np.random.default_rng(1)):
        # Also of the tasks that are left over for a later sub-step.
        found = {tuple(row): 0 for row in step.tolist()}
        for row in step.tolist():
            found[tuple(row)] += 1
        number = len(list(itertools.combinations(range(count), int(step[0].sum()))))
        assert len(found) == number
        assert number == 1 or stats.chisquare(list(found.values())).pvalue > 1e-4


def test_the_draws_of_samples_are_independent() -> None:
    rng = np.random.default_rng(2)
    pairs = [next(allocations(np.ones((2, 2), bool), 1, rng))[:, 0] for _ in range(4000)]
    table = np.histogram2d(*np.array(pairs).T.astype(int), bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_task_without_an_annotation_is_never_allocated() -> None:
    annotated = np.random.default_rng(3).random((200, 3)) < 0.6
    steps = list(allocations(annotated, 1, np.random.default_rng(4)))
    assert np.array_equal(sum(step.astype(int) for step in steps), annotated.astype(int))
    # No sample waits while it has something to do.
    assert (steps[0].sum(1) == annotated.any(1)).all()
    assert (steps[1].sum(1) == (annotated.sum(1) > 1)).all()


def test_the_number_of_sub_steps_does_not_depend_on_the_annotations() -> None:
    steps = list(allocations(np.zeros((3, 5), bool), 2, np.random.default_rng(0)))
    assert len(steps) == 3 and not any(step.any() for step in steps)


def test_weights_are_those_of_draws_without_replacement() -> None:
    weights = np.array([1.0, 2.0, 5.0])
    annotated = np.ones((20000, 3), bool)
    first = next(allocations(annotated, 1, np.random.default_rng(5), weights))
    expected = 20000 * weights / weights.sum()
    assert stats.chisquare(first.sum(0), expected).pvalue > 1e-4
    pair = next(allocations(annotated, 2, np.random.default_rng(6), weights))
    share = weights / weights.sum()
    # Left out is the third of three draws without replacement.
    left_out = [
        share[j] * share[k] / (1 - share[j]) + share[k] * share[j] / (1 - share[k])
        for j, k in ((1, 2), (0, 2), (0, 1))
    ]
    assert stats.chisquare((~pair).sum(0), 20000 * np.array(left_out)).pvalue > 1e-4


@pytest.mark.parametrize(
    ('size', 'weights', 'words'),
    [(0, None, 'from 1 to 2'), (3, None, 'from 1 to 2'), (1, [1.0], '2 positive'),
     (1, [1.0, 0.0], '2 positive'), (1, [1.0, np.nan], '2 positive')],
)  # fmt: skip
def test_sizes_and_weights_that_do_not_fit(size: int, weights: list | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(allocations(np.ones((4, 2), bool), size, np.random.default_rng(0), weights))
