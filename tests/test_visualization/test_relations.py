"""The picture of the relation mask says what the numbers say."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmgradsplit.visualization import draw_relations

TASKS = ['attribute', 'reid', 'pose']


def words(figure: Figure) -> dict[tuple[float, float], list[str]]:
    """The texts in each square, by (row, column)."""
    (axes,) = figure.axes
    found: dict[tuple[float, float], list[str]] = {}
    for text in axes.texts:
        column, row = text.get_position()
        found.setdefault((round(row - 0.1), round(column)), []).append(text.get_text())
    return found


def test_rows_train_and_columns_perform() -> None:
    changes = np.array([[0, -0.05, 0.02], [-0.001, 0, 0], [0.01, 0, 0]])
    mask = np.ones((3, 3), bool)
    mask[1, 0] = False  # attribute -> reid is negative: attribute may not move reid's group
    figure = draw_relations(mask, TASKS, changes, -0.01)
    found = words(figure)
    assert found[0, 1] == ['−5.00%', '✕ masked']
    assert found[1, 0] == ['−0.10%']
    assert found[0, 2] == ['+2.00%']
    assert found[2, 2] == ['—']
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == TASKS
    assert (axes.get_ylabel(), axes.get_xlabel()) == ('trained with', 'performance on')
    titles = ' '.join(text.get_text() for text in figure.texts)
    assert 'threshold -0.01' in titles
    assert '1 of 6 relations' in titles


def test_a_mask_alone() -> None:
    mask = np.eye(3, dtype=bool)
    found = words(draw_relations(mask, TASKS))
    assert all(text[0] == ('—' if row == column else '0') for (row, column), text in found.items())


def test_losses_are_red_and_gains_blue() -> None:
    changes = np.array([[0, -0.3, 0.3], [0, 0, 0], [-np.inf, 0, 0]])
    (axes,) = draw_relations(np.ones((3, 3), bool), TASKS, changes).axes
    colors = np.array([patch.get_facecolor() for patch in axes.patches]).reshape(3, 3, 4)
    for loss in (colors[0, 1], colors[2, 0]):
        assert loss[0] > loss[2] + 0.3
    assert colors[0, 2][2] > colors[0, 2][0] + 0.3


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r'mask of the 3 tasks'):
        draw_relations(np.eye(2, dtype=bool), TASKS)
    with pytest.raises(ValueError, match=r'changes of the 3 tasks'):
        draw_relations(np.eye(3, dtype=bool), TASKS, np.zeros((4, 4)))
