"""``optim_wrapper.relations``: the published table, and every way to get it wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmgradsplit.optim import load_changes, load_mask

ROOT = Path(__file__).parents[2]
TABLE_A1 = ROOT / 'configs/_base_/relations/gradsplit_table_a1.json'
TASKS = ['attribute', 'reid', 'pose', 'parsing']

# Row: trained with; column: performance on (attribute, reid, pose, parsing), as Table 1 is printed.
# 'v' is a negative relation: the entry of Table A-1 is below the threshold.
NEGATIVE = {
    float('-inf'): ('....', '....', '....', '....'),
    -0.025: ('...v', '...v', '....', '....'),  # -9.87, -16.22
    -0.015: ('.v.v', 'v..v', '....', '....'),  # and -2.16, -2.05
    -0.010: ('.vvv', 'v.vv', '....', '....'),  # and -1.47, -1.36
    -0.009: ('.vvv', 'v.vv', '....', 'vv..'),  # and -0.91, -0.97
    0.0: ('.vvv', 'v.vv', 'vv..', 'vv..'),  # and -0.77, -0.86; 0.00 and 0.11 are not
    float('inf'): ('.vvv', 'v.vv', 'vv.v', 'vvv.'),
}
TABLE_1 = ('.vvv', 'v.vv', '....', '....')


def printed(mask):
    """The mask as the paper prints relations: row t', column t."""
    rows = [['.' if mask[t, other] else 'v' for t in range(4)] for other in range(4)]
    return tuple(''.join(row) for row in rows)


@pytest.mark.parametrize('threshold', NEGATIVE)
def test_thresholds_of_figure_a2(threshold):
    assert printed(load_mask(str(TABLE_A1), TASKS, threshold)) == NEGATIVE[threshold]


def test_default_threshold_gives_table_1():
    assert printed(load_mask(TABLE_A1, TASKS, -0.01)) == TABLE_1


def test_table_a1_as_printed():
    table = [
        [0, -2.16, -1.47, -9.87],
        [-2.05, 0, -1.36, -16.22],
        [-0.77, -0.86, 0, 0.00],
        [-0.91, -0.97, 0.11, 0],
    ]
    np.testing.assert_allclose(100 * load_changes(TABLE_A1, TASKS), table, atol=1e-9)


def test_the_file_follows_the_order_of_the_tasks():
    subset = ['parsing', 'reid']
    assert load_changes(TABLE_A1, subset).tolist() == [[0, -0.0097], [-0.1622, 0]]


def test_all_and_none():
    assert load_mask('all', TASKS, -0.01).all()
    assert np.array_equal(load_mask('none', TASKS, -0.01), np.eye(4, dtype=bool))


@pytest.mark.parametrize('kind', [list, tuple, np.array], ids=['list', 'tuple', 'array'])
def test_a_literal_matrix_has_rows_trained_with(kind):
    changes = kind([[0.0, -0.5], [0.1, 0.0]])
    # The first task hurts the second: the second's group is closed to the first's steps.
    assert load_mask(changes, ['a', 'b'], -0.01).tolist() == [[True, True], [False, True]]


def test_a_matrix_that_names_its_tasks():
    relations = dict(tasks=['a', 'b'], changes=[[0, -0.5], [0.1, 0]])
    assert load_changes(relations, ['a', 'b']).tolist() == [[0, -0.5], [0.1, 0]]
    with pytest.raises(ValueError, match=r"relations.*\['a', 'b'\].*\['b', 'a'\]"):
        load_changes(relations, ['b', 'a'])


def test_the_callers_matrix_is_left_alone():
    changes = np.full((2, 2), -0.5)
    load_changes(changes, ['a', 'b'])
    assert (changes == -0.5).all()


@pytest.mark.parametrize(
    ('relations', 'words'),
    [
        ([[0, 1, 2], [0, 0, 0]], r'\(2, 2\), got \(2, 3\)'),
        ([[0] * 3] * 3, r'\(2, 2\), got \(3, 3\)'),
        ([0, 1], 'got '),
        ([[0, 1], [0]], 'matrix of numbers'),
        ([[0, 'x'], [0, 0]], 'matrix of numbers'),
        ([[0, float('nan')], [0, 0]], 'a -> b is NaN'),
        (dict(changes=[[0, 1], [1, 0]]), "'tasks' and 'changes'"),
        (None, 'got'),
        (3.0, 'got'),
    ],
)
def test_wrong_matrices_name_the_key(relations, words):
    with pytest.raises(ValueError, match=words) as error:
        load_mask(relations, ['a', 'b'], -0.01)
    assert 'optim_wrapper.relations' in str(error.value)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{"relations": {"a -> b": 0', 'not valid JSON'),
        ('[[0, 1], [1, 0]]', "no mapping 'relations'"),
        ('{"relations": [1, 2]}', "no mapping 'relations'"),
        ('{"relations": {"a -> b": 0.1}}', "no number for 'b -> a'"),
        ('{"relations": {"a -> b": 0.1, "b -> a": "x"}}', "no number for 'b -> a'"),
        ('{"relations": {"a -> b": 0.1, "b -> a": true}}', "no number for 'b -> a'"),
        ('{"relations": {"a -> b": NaN, "b -> a": 0}}', 'a -> b is NaN'),
    ],
)
def test_wrong_files_name_key_and_file(tmp_path, text, words):
    path = tmp_path / 'wrong.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        load_mask(str(path), ['a', 'b'], -0.01)
    assert 'optim_wrapper.relations' in str(error.value)
    assert 'wrong.json' in str(error.value)


def test_a_file_of_another_extension_is_read_as_json(tmp_path):
    path = tmp_path / 'relations.txt'
    path.write_text(json.dumps({'relations': {'a -> b': -1, 'b -> a': 0}}))
    assert load_changes(path, ['a', 'b']).tolist() == [[0, -1], [0, 0]]


@pytest.mark.parametrize('relations', ['al', 'missing.json', '.'])
def test_a_string_that_is_no_file(relations):
    with pytest.raises(FileNotFoundError, match=r"optim_wrapper.relations.*'all' or 'none'"):
        load_mask(relations, ['a', 'b'], -0.01)


def test_threshold_nan():
    with pytest.raises(ValueError, match=r'optim_wrapper\.threshold'):
        load_mask([[0, 0], [0, 0]], ['a', 'b'], float('nan'))
