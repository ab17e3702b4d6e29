"""Filter groups and their spans: properties that hold for every size and mask."""

import itertools

import numpy as np
import pytest

from mmgradsplit.functional import filter_groups, spans

SIZES = [(c, t) for c in (1, 2, 3, 4, 7, 20, 64, 65, 67, 512) for t in (1, 2, 3, 4, 5) if c >= t]


@pytest.mark.parametrize(('filters', 'tasks'), SIZES)
def test_groups_are_equal_disjoint_and_begin_at_zero(filters, tasks):
    groups = filter_groups(filters, tasks)
    channels = [c for start, stop in groups for c in range(start, stop)]
    assert len(groups) == tasks
    assert len({stop - start for start, stop in groups}) == 1
    assert channels == list(range(len(channels)))
    assert 0 <= filters - len(channels) < tasks


def test_groups_of_the_design():
    assert filter_groups(67, 4) == [(0, 16), (16, 32), (32, 48), (48, 64)]


@pytest.mark.parametrize(('filters', 'tasks'), SIZES)
def test_spans_say_for_each_channel_who_trains_it(filters, tasks):
    rng = np.random.default_rng(filters * 10 + tasks)
    size = filters // tasks
    for density in (0.0, 0.3, 0.7, 1.0):
        mask = (rng.random((tasks, tasks)) < density) | np.eye(tasks, dtype=bool)
        holders = {}
        for span in spans(filters, mask):
            for channel in range(span.start, span.stop):
                assert channel not in holders
                holders[channel] = span.holders
        assert list(holders) == list(range(filters))
        for channel, held in holders.items():
            group = channel // size
            for task in range(tasks):
                assert (task in held) == (group >= tasks or bool(mask[group, task]))


@pytest.mark.parametrize(('filters', 'tasks'), SIZES)
def test_neighbours_with_the_same_tasks_are_one_span(filters, tasks):
    rng = np.random.default_rng(filters + tasks)
    mask = (rng.random((tasks, tasks)) < 0.6) | np.eye(tasks, dtype=bool)
    found = spans(filters, mask)
    assert all(a.holders != b.holders for a, b in itertools.pairwise(found))
    (whole,) = spans(filters, np.ones((tasks, tasks), dtype=bool))
    assert (whole.start, whole.stop) == (0, filters)


def test_fewer_filters_than_tasks():
    with pytest.raises(ValueError, match='3 filters cannot be split among 4 tasks'):
        filter_groups(3, 4)
    with pytest.raises(ValueError, match='3 filters'):
        spans(3, np.ones((4, 4), dtype=bool))
