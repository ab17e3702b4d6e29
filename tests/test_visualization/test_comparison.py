"""The picture of a comparison says what the numbers say."""

import pytest
from matplotlib.figure import Figure

from mmgradsplit.visualization import draw_comparison

VALUES = {
    'single-task': [0.4, -0.4],
    'uniform': [-3.0, -2.0, -1.0],
    'pcgrad': [],
    'amtl': [1.5],
}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_a_point_a_seed_and_a_line_at_the_mean() -> None:
    figure = draw_comparison(VALUES, {'pcgrad': 'diverged'})
    (axes,) = figure.axes
    points = {
        float(y): list(map(float, line.get_xdata()))
        for line in axes.lines
        if line.get_marker() == 'o'
        for y in set(line.get_ydata())
    }
    assert points == {0: [0.4, -0.4], 1: [-3.0, -2.0, -1.0], 3: [1.5]}
    means = {sum(line.get_ydata()) / 2: set(line.get_xdata()) for line in axes.lines
             if line.get_marker() == 'None' and len(set(line.get_ydata())) == 2
             and tuple(line.get_ydata()) != (0, 1)}  # fmt: skip
    assert means == {0: {0.0}, 1: {-2.0}, 3: {1.5}}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(VALUES)
    assert texts(figure) == ['+0.00', '−2.00', 'diverged', '+1.50']
    top, bottom = axes.get_ylim()[::-1]
    assert top < bottom  # the first method is at the top
    left, right = axes.get_xlim()
    assert left < -3 and right > 1.5


def test_nothing_at_all_and_only_what_diverged() -> None:
    with pytest.raises(ValueError, match='no method'):
        draw_comparison({})
    assert texts(draw_comparison({'pcgrad': []}, {'pcgrad': 'diverged'})) == ['diverged']
