"""Quick transforms of single persons against mmpose's own."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmcv.image import imflip
from mmengine.registry import init_default_scope
from scipy.stats import kstest, truncnorm

from mmgradsplit.datasets.transforms.persons import straightened, truncated_normal
from mmgradsplit.registry import TRANSFORMS
from mmgradsplit.utils import seed_all

INPUT = (64, 64)
POINTS = np.array([[[400.0, 250.0], [700.0, 500.0], [560.0, 330.0]]], np.float32)


@pytest.fixture(scope='module')
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A dark picture of 1281 x 721 with a bright spot at each keypoint."""
    image = np.full((721, 1281, 3), 30, np.uint8)
    for x, y in POINTS[0].astype(int):
        cv2.circle(image, (int(x), int(y)), 24, (255, 255, 255), -1)
    path = tmp_path_factory.mktemp('picture') / 'spots.jpg'
    assert cv2.imwrite(str(path), image)
    return str(path)


def run(picture: str, load: dict, length: float, *between: dict) -> dict[str, Any]:
    init_default_scope('mmpose')
    import mmpose.datasets  # noqa: F401  # registers its transforms

    results: dict[str, Any] = dict(
        img_path=picture,
        bbox=np.array([[560 - length / 2, 360 - length / 2, 560 + length / 2, 360 + length / 2]]),
        keypoints=POINTS.copy(),
        keypoints_visible=np.ones((1, 3), np.float32),
        flip_indices=[0, 1, 2],
    )
    pipeline = [
        load,
        dict(type='GetBBoxCenterScale'),
        *between,
        dict(type='TopdownAffine', input_size=INPUT),
    ]
    seed_all(0)
    for step in pipeline:
        results = TRANSFORMS.build(dict(_scope_='mmpose', **step)).transform(results)
    return results


FLIP = dict(type='RandomFlip', prob=1.0)
TURN = dict(type='RandomBBoxTransform', shift_prob=1.0, scale_prob=1.0, rotate_prob=1.0)


@pytest.mark.parametrize(('length', 'factor'), [(60, 1), (200, 2), (400, 4), (640, 8)])
@pytest.mark.parametrize('between', [(), (FLIP,), (FLIP, TURN)], ids=['', 'flip', 'turn'])
def test_a_reduced_picture_has_the_coordinates_of_the_whole(
    picture: str, length: float, factor: int, between: tuple[dict, ...]
) -> None:
    reduced = dict(type='mmgradsplit.LoadReducedImage', input_size=INPUT)
    whole = run(picture, dict(type='LoadImage'), length, *between)
    found = run(picture, reduced, length, *between)
    assert found['img_shape'] == (-(-721 // factor), -(-1281 // factor))
    # Where the picture is mirrored, a part of a reduced pixel may be beyond its edge.
    within = 0.5 if between else 1e-3
    ours, theirs = found['transformed_keypoints'], whole['transformed_keypoints']
    np.testing.assert_allclose(ours, theirs, atol=within)
    for results in (whole, found):
        bright = results['img'][..., 0].astype(float)
        for x, y in results['transformed_keypoints'][0]:
            if 8 < x < 56 and 8 < y < 56:
                assert bright[int(y + 0.5), int(x + 0.5)] > 200
    difference = np.abs(found['img'].astype(float) - whole['img'])
    assert found['img'].shape == (*INPUT, 3) and difference.mean() < 4


def test_spots_lie_where_the_keypoints_say(picture: str) -> None:
    """Their centres of mass, to a fifth of a pixel of the crop."""
    reduced = dict(type='mmgradsplit.LoadReducedImage', input_size=INPUT)
    results = run(picture, reduced, 640, FLIP)
    light = np.maximum(results['img'][..., 0].astype(float) - 60, 0)
    count, labels = cv2.connectedComponents((light > 0).astype(np.uint8))
    assert count == 1 + len(POINTS[0])
    centres = [
        [
            np.average(axis, weights=light[labels == each])
            for axis in np.nonzero(labels == each)[::-1]
        ]
        for each in range(1, count)
    ]
    wanted = results['transformed_keypoints'][0]
    distances = np.linalg.norm(np.array(centres)[:, None] - wanted[None], axis=2)
    assert distances.min(1).max() < 0.2


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / 'empty.jpg').write_bytes(b'')
    reduced = dict(type='mmgradsplit.LoadReducedImage', input_size=INPUT)
    with pytest.raises(ValueError, match=r'empty\.jpg'):
        run(str(tmp_path / 'empty.jpg'), reduced, 640)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('channels', [(), (3,)])
def test_straightened_is_the_same_picture(direction: str, channels: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 9, *channels), np.uint8)
    flipped = imflip(image, direction)
    assert not flipped.flags.c_contiguous
    straight = straightened(flipped)
    assert straight.flags.c_contiguous and np.array_equal(straight, flipped)
    assert straightened(image) is image


def test_numbers_are_of_the_truncated_normal_distribution() -> None:
    seed_all(0)
    drawn = truncated_normal(-1.0, 2.0, (4000,))
    assert drawn.dtype == np.float32 and drawn.min() >= -1 and drawn.max() <= 2
    assert kstest(drawn, truncnorm(-1.0, 2.0).cdf).pvalue > 0.01
    assert truncated_normal(size=(1, 4)).shape == (1, 4)


def test_the_quick_transform_is_mmposes(picture: str) -> None:
    quick = dict(TURN, type='mmgradsplit.QuickBBoxTransform')
    length = 300
    results = run(picture, dict(type='LoadImage'), length, quick)
    again = run(picture, dict(type='LoadImage'), length, quick)
    plain = run(picture, dict(type='LoadImage'), length)
    assert np.array_equal(results['img'], again['img'])
    assert results['bbox_rotation'].shape == (1,) and results['bbox_rotation'].any()
    assert not np.array_equal(results['bbox_scale'], plain['bbox_scale'])
