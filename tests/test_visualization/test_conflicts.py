"""The conflict maps say what the numbers say."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmgradsplit.visualization import draw_conflicts

TASKS = ['attribute', 'reid', 'pose']
ROWS = {
    'before': {
        'layer1.0': dict(frequency=[[0, 0.1, 0.2], [0.1, 0, 0.9], [0.2, 0.9, 0]]),
        'layer4.0': dict(frequency=[[0, 0.5, 0.4], [0.5, 0, 0.6], [0.4, 0.6, 0]]),
    },
    'after': {
        'layer1.0': dict(frequency=np.zeros((3, 3))),
        'layer4.0': dict(frequency=np.ones((3, 3))),
    },
}


def maps(figure: Figure) -> list[list[list[str]]]:
    """The numbers of each map, row after row."""
    found = []
    for axes in figure.axes:
        places = {tuple(t.get_position()): t.get_text() for t in axes.texts}
        found.append([[places[j, i] for j in range(3)] for i in range(3)])
    return found


def test_a_map_for_each_network_and_module() -> None:
    figure = draw_conflicts(ROWS, TASKS)
    found = maps(figure)
    assert len(found) == 4
    assert found[0] == [['—', '0.10', '0.20'], ['0.10', '—', '0.90'], ['0.20', '0.90', '—']]
    assert found[3][0] == ['—', '1.00', '1.00']
    words = [text.get_text() for text in figure.texts]
    assert {'before', 'after', 'layer1.0', 'layer4.0'} < set(words)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == TASKS


def test_frequent_conflicts_are_red_and_rare_ones_blue() -> None:
    axes = draw_conflicts(ROWS, TASKS).axes[0]
    colors = np.array([patch.get_facecolor() for patch in axes.patches]).reshape(3, 3, 4)
    assert colors[1, 2][0] > colors[1, 2][2] + 0.3
    assert colors[0, 1][2] > colors[0, 1][0] + 0.3


def test_everything_is_inside_the_picture() -> None:
    for tasks, rows in ((TASKS, ROWS), (TASKS[:2], {'a rather long name of a network': {
        'layer4.0': dict(frequency=np.eye(2))}})):  # fmt: skip
        figure = draw_conflicts(rows, tasks)
        figure.canvas.draw()
        width, height = figure.bbox.size
        boxes = [text.get_window_extent() for text in figure.texts]
        boxes += [axes.get_tightbbox() for axes in figure.axes]
        assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match='same modules'):
        draw_conflicts({**ROWS, 'other': {'layer2.0': dict(frequency=np.eye(3))}}, TASKS)
    with pytest.raises(ValueError, match='same modules'):
        draw_conflicts({}, TASKS)
    with pytest.raises(ValueError, match=r'before, layer1\.0'):
        draw_conflicts(ROWS, TASKS[:2])
