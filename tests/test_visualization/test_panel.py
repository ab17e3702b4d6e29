"""What a panel shows of each kind of prediction, read back from the figure."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmgradsplit.visualization import Neighbour, draw_panel, save_figure
from mmgradsplit.visualization.cells import RIGHT, STRONG, WEAK, WRONG

IMAGE = np.full((40, 20, 3), (200, 100, 50), np.uint8)
METAS: dict[str, dict[str, Any]] = dict(
    attribute=dict(classes=[f'name{i}' for i in range(20)]),
    pose=dict(skeleton_links=[(0, 1), (1, 2)], skeleton_link_colors=[[255, 0, 0], [0, 255, 0]]),
    parsing=dict(classes=('nothing', 'hat', 'coat'), palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0]]),
)


def attributes(scores: list[float]) -> DataSample:
    return DataSample().set_pred_score(torch.tensor(scores))


def pose(scores: list[float]) -> PoseDataSample:
    sample = PoseDataSample()
    points = np.array([[[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]])
    sample.pred_instances = InstanceData(keypoints=points, keypoint_scores=np.array([scores]))
    return sample


def parsing() -> SegDataSample:
    labels = torch.zeros(1, 40, 20, dtype=torch.long)
    labels[:, 10:30] = 2
    sample = SegDataSample()
    sample.set_data(dict(pred_sem_seg=PixelData(data=labels)))
    return sample


def embedding() -> DataSample:
    sample = DataSample()
    sample.set_field(torch.zeros(4), 'embedding')
    return sample


def headings(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_tasks_that_are_not_there_are_left_out() -> None:
    two = draw_panel(IMAGE, dict(reid=embedding(), pose=pose([1, 1, 1])), METAS, title='T')
    assert headings(two) == ['T', 'input', 'pose']
    assert len(two.axes) == 2
    everything = dict(
        attribute=attributes([0.1] * 20), reid=embedding(), pose=pose([1, 1, 1]), parsing=parsing()
    )
    four = draw_panel(IMAGE, everything, METAS)
    assert headings(four) == ['', 'input', 'attribute', 'pose', 'parsing', '']
    assert len(four.axes) == 5


@pytest.mark.parametrize('shape', [(20, 20000, 3), (20000, 20, 3)])
def test_a_strip_of_an_image_does_not_make_a_panel_of_metres(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    labels = SegDataSample()
    labels.set_data(dict(pred_sem_seg=PixelData(data=torch.zeros(1, *shape[:2]).long())))
    figure = draw_panel(image, dict(parsing=labels), METAS)
    assert max(figure.get_size_inches()) < 60


def bars(scores: list[float], *, classes: Any = None, exclusive: Any = (), truth: Any = ()) -> list:
    """The names of the bars, from above."""
    meta = dict(classes=classes or METAS['attribute']['classes'], exclusive=exclusive)
    predictions = dict(attribute=attributes(scores))
    figure = draw_panel(IMAGE, predictions, dict(attribute=meta), truth=dict(attribute=truth))
    return [label.get_text() for label in figure.axes[1].get_yticklabels()]


def test_what_is_predicted_and_what_is_true_has_a_bar() -> None:
    scores = [i / 20 for i in range(20)]
    predicted = [f'name{i}' for i in range(19, 9, -1)]
    assert bars(scores) == predicted
    assert bars(scores, truth={0, 19}) == ['name19 ✓', *predicted[1:], 'name0 ✓']
    # The best three where nothing is likely, and no more than there is room for.
    assert bars([score / 10 for score in scores]) == ['name19', 'name18', 'name17']
    assert len(bars([0.9] * 20)) == len(bars([0.9] * 20, truth={18, 19})) == 12


def test_of_exclusive_classes_the_likeliest_has_a_bar() -> None:
    classes = ['Front', 'Side', 'Back', 'Hat', 'Bag', 'Boots', 'Skirt']
    views = [('Front', 'Side', 'Back')]
    scores = [0.6, 0.1, 0.79, 0.7, 0.9, 0.2, 0.95]
    assert bars(scores, classes=classes, exclusive=views) == ['Skirt', 'Bag', 'Back', 'Hat']
    # What is true is shown beside it, as something that is not predicted.
    meta = dict(classes=classes, exclusive=views)
    figure = draw_panel(
        IMAGE,
        dict(attribute=attributes(scores)),
        dict(attribute=meta),
        truth=dict(attribute={0}),
    )
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert names == ['Skirt', 'Bag', 'Back', 'Hat', 'Front ✓']
    colors = [patch.get_facecolor()[:3] for patch in figure.axes[1].patches[1::2]]
    assert colors == [to_rgb(STRONG)] * 4 + [to_rgb(WEAK)]
    # Groups that the data set does not have are passed over.
    assert bars([0.9, 0.8], classes=['Hat', 'Bag'], exclusive=views) == ['Hat', 'Bag']


def test_unsure_joints_are_left_out() -> None:
    figure = draw_panel(IMAGE, dict(pose=pose([0.9, 0.9, 0.01])), METAS)
    lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
    (link,) = lines
    np.testing.assert_allclose(link.get_xydata(), [[3, 4], [5, 6]])
    assert to_rgb(link.get_color()) == (1, 0, 0)


def test_only_the_parts_present_are_in_the_legend() -> None:
    figure = draw_panel(IMAGE, dict(parsing=parsing()), METAS)
    legend = figure.axes[2].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ['coat']
    shown = figure.axes[1].images[0].get_array()
    inside, outside = shown[20, 10].astype(int), shown[5, 10].astype(int)
    assert inside[1] > inside[0] + 100  # coats are green
    assert outside.max() - outside.min() <= 1  # the rest is grey


def test_boxes_of_a_detector() -> None:
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 11.0, 22.0], [0.0, 0.0, 5.0, 5.0]]),
        scores=torch.tensor([0.9, 0.1]),
        labels=torch.tensor([1, 0]),
    )
    figure = draw_panel(IMAGE, dict(people=sample), dict(people=dict(classes=('cat', 'dog'))))
    (box,) = figure.axes[1].patches
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((1, 2), 10, 20)
    assert figure.axes[1].texts[0].get_text() == 'dog 0.90'


def test_depth_and_normals_are_pictures() -> None:
    depth, normals = SegDataSample(), SegDataSample()
    values = torch.linspace(0.5, 4, 24 * 32).reshape(1, 24, 32)
    depth.set_data(dict(pred_depth_map=PixelData(data=values)))
    up = torch.zeros(3, 24, 32)
    up[1] = 1
    normals.set_data(dict(pred_normal_map=PixelData(data=up)))
    image = np.zeros((24, 32, 3), np.uint8)
    figure = draw_panel(image, dict(depth=depth, normal=normals), {})
    _, first, second = figure.axes
    assert first.get_xlabel() == '0.50 to 4.00'
    shades = first.images[0].get_array().sum(-1)
    assert shades[-1, -1] > shades[0, 0]  # far is light
    assert np.allclose(second.images[0].get_array(), (0.5, 1, 0.5))  # up is green


def test_neighbours_have_frames_and_distances() -> None:
    neighbours = [Neighbour(IMAGE, 0.125, True), Neighbour(IMAGE, 0.5, False)]
    figure = draw_panel(IMAGE, {}, {}, neighbours=neighbours)
    frames = [axes.spines['left'].get_edgecolor()[:3] for axes in figure.axes[1:]]
    assert frames == [to_rgb(RIGHT), to_rgb(WRONG)]
    assert [axes.get_xlabel() for axes in figure.axes[1:]] == ['0.125', '0.500']


def test_what_the_data_set_does_not_say_is_drawn_without(tmp_path: Path) -> None:
    predictions = dict(attribute=attributes([0.5]), pose=pose([1, 1, 1]), parsing=parsing())
    file = save_figure(draw_panel(IMAGE, predictions, {}), tmp_path / 'new' / 'panel.png')
    picture = cv2.imread(str(file))
    assert picture is not None
    # The input is shown with its channels in order.
    pixels = picture.reshape(-1, 3)
    assert np.any(np.all(pixels == (200, 100, 50), axis=1))


def test_no_state_is_shared_with_pyplot() -> None:
    from matplotlib import pyplot

    draw_panel(IMAGE, {}, {})
    assert pyplot.get_fignums() == []
