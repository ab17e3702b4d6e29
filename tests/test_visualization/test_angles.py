"""The histograms of gradient angles say what the numbers say."""

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmgradsplit.visualization import draw_angles


def found(
    names: tuple[str, ...] = ('FullTask', 'STA', 'ISTA'),
    pairs: tuple[str, ...] = ('seg-depth',),
    modules: tuple[str, ...] = ('backbone',),
) -> dict[str, Any]:
    """What three allocators might have measured."""
    rng = np.random.default_rng(0)

    def angles(mean: float, number: int = 50) -> dict[str, list]:
        return dict(angles=[*rng.normal(mean, 4, number), None] if number else [])

    return {
        name: {
            module: dict(
                tasks={pair: angles(90 - 10 * (name == 'FullTask')) for pair in pairs},
                steps=dict(within=angles(60, 50 * (name == 'ISTA')), across=angles(80)),
            )
            for module in modules
        }
        for name in names
    }


def words(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_a_section_of_pairs_and_one_of_steps() -> None:
    figure = draw_angles(found(), 'a title')
    assert [axes.get_title('left') for axes in figure.axes] == ['seg-depth', 'backbone']
    assert {'a title', 'between tasks', 'between successive steps'} <= {
        text.get_text() for text in figure.texts
    }
    assert words(figure) == [
        ['FullTask', 'STA', 'ISTA'],
        ['FullTask', 'STA', 'ISTA, same batch', 'ISTA, next batch'],
    ]
    several = draw_angles(found(pairs=('a-b', 'a-c', 'b-c'), modules=('layer3', 'layer4')))
    headings = [axes.get_title('left') for axes in several.axes]
    assert headings[:2] == ['layer3: a-b', 'layer3: a-c']
    assert headings[6:] == ['layer3', 'layer4']


def test_the_bars_are_the_shares_of_the_angles() -> None:
    given = found(names=('STA',))
    given['STA']['backbone']['tasks']['seg-depth'] = dict(angles=[100.0, 100.0, 120.0, 60.0, None])
    axes = draw_angles(given).axes[0]
    values, edges, _ = axes.patches[0].get_data()
    assert values.sum() == pytest.approx(1)
    middle = (edges[1:] + edges[:-1]) / 2
    assert values[middle > 90].sum() == pytest.approx(0.75)
    assert edges[0] <= 60 and edges[-1] >= 120
    assert 90 in edges  # no bar lies on both sides
    (line,) = axes.lines
    assert list(line.get_xdata()) == [90, 90]


def test_an_allocator_has_the_same_colour_everywhere() -> None:
    figure = draw_angles(found())
    tasks, steps = ([patch.get_edgecolor() for patch in axes.patches] for axes in figure.axes)
    assert len(set(tasks)) == 3
    assert steps == [*tasks, tasks[2]]


def test_what_was_not_measured_is_left_out() -> None:
    given = found()
    for kinds in given.values():
        kinds['backbone']['steps'] = dict(within=dict(angles=[]), across=dict(angles=[]))
    given['STA']['backbone']['tasks']['seg-depth'] = dict(angles=[None])
    figure = draw_angles(given)
    assert words(figure) == [['FullTask', 'ISTA']]
    for kinds in given.values():
        kinds['backbone']['tasks']['seg-depth'] = dict(angles=[None])
    figure = draw_angles(given)
    assert not figure.axes
    assert any('no angle' in text.get_text() for text in figure.texts)


def test_everything_is_inside_the_picture() -> None:
    for options in ({}, dict(names=('FullTask',)), dict(pairs=tuple('abcdef'), modules=('l', 'm'))):
        figure = draw_angles(found(**options))
        figure.canvas.draw()
        width, height = figure.bbox.size
        boxes = [text.get_window_extent() for text in figure.texts]
        boxes += [item.get_window_extent() for item in figure.legends]
        boxes += [axes.get_tightbbox() for axes in figure.axes]
        assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= width and b.y1 <= height for b in boxes)
