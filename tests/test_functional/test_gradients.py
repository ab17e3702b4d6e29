"""Angles between gradients, conflicts, and the agreement of two estimates of the relations."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from mmgradsplit.functional import (
    conflict_frequency,
    cosine_matrix,
    loss_change,
    relation_agreement,
)


def test_cosines_are_torchs() -> None:
    gradients = torch.randn(4, 57)
    expected = cosine_similarity(gradients[:, None], gradients[None], dim=-1)
    np.testing.assert_allclose(cosine_matrix(list(gradients)), expected.numpy(), atol=1e-6)


def test_cosines_of_known_vectors() -> None:
    vectors = [torch.tensor(v) for v in ([1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [5.0, 5.0])]
    half = 0.5**0.5
    expected = [[1, 0, -1, half], [0, 1, 0, half], [-1, 0, 1, -half], [half, half, -half, 1]]
    np.testing.assert_allclose(cosine_matrix(vectors), expected, atol=1e-12)


def test_the_length_of_a_gradient_does_not_matter() -> None:
    direction = torch.randn(20)
    # The squares of the smallest are zero in single precision.
    scaled = [direction * scale for scale in (1e-30, 1.0, 1e30, -1e-25)]
    expected = np.outer([1, 1, 1, -1], [1, 1, 1, -1])
    np.testing.assert_allclose(cosine_matrix(scaled), expected, atol=1e-6)


def test_no_gradient_is_orthogonal_to_all() -> None:
    matrix = cosine_matrix([torch.zeros(3), torch.ones(3)])
    assert matrix.tolist() == [[0, 0], [0, 1]]


def test_gradients_must_be_vectors_of_one_length() -> None:
    for wrong in ([], [torch.ones(2), torch.ones(3)], [torch.ones(2, 2)]):
        with pytest.raises(ValueError, match='vectors of one length'):
            cosine_matrix(wrong)


def test_a_conflict_is_a_negative_cosine() -> None:
    def cosines(value: float) -> list[list[float]]:
        return [[1.0, value], [value, 1.0]]

    repeats = [cosines(value) for value in (-0.3, 0.2, 0.0, -1e-9)]
    assert conflict_frequency(repeats).tolist() == [[0, 0.5], [0.5, 0]]
    with pytest.raises(ValueError, match='N x T x T'):
        conflict_frequency(np.zeros((0, 2, 2)))


def test_random_directions_conflict_in_half_of_the_repeats() -> None:
    cosines = [cosine_matrix(list(torch.randn(3, 50))) for _ in range(600)]
    off_diagonal = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(conflict_frequency(cosines)[off_diagonal], 0.5, atol=0.08)


def test_a_loss_that_falls_is_a_gain() -> None:
    assert loss_change(2.0, 1.5) == pytest.approx(0.25)
    assert loss_change(2.0, 3.0) == pytest.approx(-0.5)
    assert loss_change(-2.0, -3.0) > 0  # fell, too
    assert np.isnan(loss_change([0.0, 1.0, np.nan], [1.0, np.inf, 1.0])).all()


def test_the_same_relations_agree_on_all_scales() -> None:
    rng = np.random.default_rng(0)
    changes = rng.normal(size=(4, 4))
    # Shrunk and cubed, the order and the side of zero stay.
    agreement = relation_agreement(changes, 1e-5 * changes**3, 0.0, 0.0)
    assert (agreement.same, agreement.pairs, agreement.share) == (12, 12, 1.0)
    assert agreement.rank_correlation == pytest.approx(1)
    opposite = relation_agreement(changes, -changes, 0.0, 0.0)
    assert (opposite.same, opposite.rank_correlation) == (0, pytest.approx(-1))


def test_each_estimate_has_its_threshold() -> None:
    changes = np.array([[9.0, -0.03, 0.0], [-0.005, 9.0, 0.1], [-0.2, 0.3, 9.0]])
    # -0.005 is negative at 0, but not at -0.01.
    assert relation_agreement(changes, changes, -0.01, 0.0).same == 5
    assert relation_agreement(changes, changes, -0.01, -0.01).same == 6


def test_a_constant_has_no_ranks() -> None:
    assert np.isnan(relation_agreement(np.zeros((3, 3)), np.eye(3), 0, 0).rank_correlation)
    with pytest.raises(ValueError, match='two or more tasks'):
        relation_agreement(np.zeros((3, 3)), np.zeros((2, 2)), 0, 0)
