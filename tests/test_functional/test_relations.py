"""The relation mask of Eq. a-1, and relative changes."""

import numpy as np
import pytest
from scipy import stats

from mmgradsplit.functional import by_name, relation_mask, relative_change, summarize_changes


def test_mask_is_eq_a1_for_random_relations():
    rng = np.random.default_rng(0)
    for size in range(1, 6):
        changes = rng.normal(0, 0.02, (size, size))
        mask = relation_mask(changes, -0.01)
        for t in range(size):
            for other in range(size):
                negative = changes[other, t] < -0.01  # A[t' -> t] in row t', column t
                assert mask[t, other] == (not (t != other and negative))


def test_asymmetric_relation_masks_one_direction():
    # Training along with task 0 hurts task 1, not the other way round.
    mask = relation_mask([[0, -0.5], [0.1, 0]], -0.01)
    assert mask.tolist() == [[True, True], [False, True]]


def test_a_change_equal_to_the_threshold_is_not_negative():
    assert relation_mask([[0, -0.01], [np.nextafter(-0.01, -1), 0]], -0.01).tolist() == [
        [True, False],
        [True, True],
    ]


def test_infinite_thresholds_and_changes():
    changes = [[0, np.inf], [-np.inf, 0]]
    assert relation_mask(changes, np.inf).tolist() == np.eye(2, dtype=bool).tolist()
    assert relation_mask(changes, -np.inf).all()


def test_diagonal_is_ignored():
    assert relation_mask([[-9, 0], [0, np.nan]], -0.01).all()


@pytest.mark.parametrize(
    ('changes', 'threshold', 'words'),
    [
        ([[0, 1, 2], [0, 0, 0]], 0, 'square'),
        ([0, 1], 0, 'square'),
        ([[0, np.nan], [0, 0]], 0, 'NaN'),
        ([[0, 0], [0, 0]], np.nan, 'NaN'),
    ],
)
def test_wrong_relations(changes, threshold, words):
    with pytest.raises(ValueError, match=words):
        relation_mask(changes, threshold)


def test_relative_change():
    # "performs 2.05% worse" (caption of Table A-1)
    assert relative_change(76.401, 78.0) == pytest.approx(-0.0205, abs=5e-6)
    assert relative_change(50.0, 50.0) == 0
    for together, alone in ((1.0, 0.0), (float('nan'), 1.0), (1.0, float('inf'))):
        with pytest.raises(ValueError, match='finite accuracies'):
            relative_change(together, alone)


def test_a_lower_value_that_is_better_is_a_gain():
    assert relative_change(1.5, 2.0, lower_is_better=True) == 0.25
    assert relative_change(2.5, 2.0, lower_is_better=True) == -0.25


def test_settled_is_what_a_t_test_settles():
    rng = np.random.default_rng(0)
    changes = rng.normal(-0.01, 0.02, (4, 6, 6)) + rng.normal(0, 0.03, (6, 6))
    summary = summarize_changes(changes, -0.01)
    off_diagonal = ~np.eye(6, dtype=bool)
    rejected = stats.ttest_1samp(changes, -0.01, axis=0).pvalue < 0.05
    assert (summary.settled == rejected)[off_diagonal].all()
    assert 0 < rejected[off_diagonal].sum() < 30  # the case has both kinds
    assert summary.settled.diagonal().all()


def test_one_measurement_settles_nothing():
    summary = summarize_changes([[[0, 0.5], [-0.5, 0]]], -0.01)
    assert summary.mean.tolist() == [[0, 0.5], [-0.5, 0]]
    assert np.isnan(summary.spread).all()
    assert summary.settled.tolist() == [[True, False], [False, True]]


def test_by_name_is_what_a_file_holds():
    matrix = np.array([[9.0, -0.0216], [-0.0205, 9.0]])
    # Table A-1: trained with the row's task, performance on the column's.
    assert by_name(matrix, ['attribute', 'reid']) == {
        'attribute -> reid': -0.0216,
        'reid -> attribute': -0.0205,
    }
