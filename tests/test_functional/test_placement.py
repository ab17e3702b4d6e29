"""Where an image lies in the network's input, checked against OpenCV and mmpose."""

import cv2
import numpy as np
import pytest
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

from mmgradsplit.functional import Placement, letterbox, stretch, top_down

SIZES = [(640, 425), (425, 640), (64, 128), (1, 1), (20000, 20), (20, 20000), (33, 57)]


@pytest.mark.parametrize('image_size', SIZES)
def test_a_letterbox_keeps_the_aspect_and_fills_one_side(image_size: tuple[int, int]) -> None:
    placement = letterbox(image_size, (64, 128))
    content = placement.content
    assert content[0] == 64 or content[1] == 128
    assert 1 <= content[0] <= 64 and 1 <= content[1] <= 128
    ideal = min(64 / image_size[0], 128 / image_size[1])
    for pixels, length in zip(content, image_size, strict=True):
        assert abs(pixels - ideal * length) <= max(0.5, 1 - ideal * length)
    assert placement.padding == (64 - content[0], 128 - content[1])


def test_indices_follow_opencv() -> None:
    """A bright pixel is where ``index_shift`` says after cv2.resize."""
    placement = stretch((40, 30), (80, 90))
    image = np.zeros((30, 40), np.float32)
    image[11, 17] = 1
    resized = cv2.resize(image, (80, 90), interpolation=cv2.INTER_LINEAR)
    y, x = (np.indices(resized.shape) * resized).sum((1, 2)) / resized.sum()
    expected = np.multiply((17, 11), placement.scale) + placement.index_shift
    np.testing.assert_allclose((x, y), expected, atol=1e-4)


@pytest.mark.parametrize('box', [(0, 0, 50, 90), (10, 5, 30, 85), (-5, 20, 60, 40)])
def test_top_down_is_mmposes(box: tuple[float, float, float, float]) -> None:
    points = np.array([[[3.0, 4.0], [40.0, 80.0]]], np.float32)
    results = dict(
        img=np.zeros((90, 50, 3), np.uint8), bbox=np.array([box], np.float32), keypoints=points
    )
    results = TopdownAffine((64, 48)).transform(GetBBoxCenterScale(1.25).transform(results))
    placement = top_down((50, 90), (64, 48), box, 1.25)
    ours = points * placement.scale + placement.index_shift
    np.testing.assert_allclose(ours, results['transformed_keypoints'], atol=1e-4)


def test_an_image_in_its_own_size() -> None:
    placement = Placement((50, 90), (64, 96), (1.0, 1.0))
    assert placement.content == (50, 90) and placement.padding == (14, 6)
    assert placement.index_shift == (0, 0)
