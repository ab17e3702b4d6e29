"""Seeds that depend on the place alone."""

import itertools

import numpy as np

from mmgradsplit.functional import derive_seed


def test_same_place_same_seed():
    assert derive_seed(7, 'pose', 3, 5) == derive_seed(7, 'pose', 3, 5)
    assert isinstance(derive_seed(0), int)


def test_places_differ():
    places = list(itertools.product(range(4), ('pose', 'reid'), range(20), range(20)))
    seeds = {derive_seed(*place) for place in places}
    assert len(seeds) == len(places)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_order_of_the_place_matters():
    assert derive_seed(0, 1, 2) != derive_seed(0, 2, 1)
    assert derive_seed(1, 'pose') != derive_seed(0, 'pose', 1)


def test_a_place_within_a_place_is_another_place():
    deeper = [derive_seed(0, 'pose', *[0] * depth) for depth in range(6)]
    assert len(set(deeper)) == len(deeper)


def test_seeds_of_neighbours_are_uniform():
    seeds = np.array([derive_seed(0, 'pose', i) for i in range(4000)]) / 2**32
    counts, _ = np.histogram(seeds, bins=10, range=(0, 1))
    assert abs(counts - 400).max() < 100  # five standard deviations
    assert abs(np.corrcoef(seeds[1:], seeds[:-1])[0, 1]) < 0.08
