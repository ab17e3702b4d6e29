"""Zoom and mirror images with their annotations, checked on a scene whose geometry is known."""

from typing import Any

import numpy as np
import pytest

from mmgradsplit.datasets.transforms import PackDenseInputs, RandomMirror, RandomZoom

FOCAL = 40.0
HEIGHT, WIDTH = 30, 40


def plane() -> tuple[np.ndarray, np.ndarray]:
    """Depth ``[H x W]`` of a slanted plane before a pinhole camera, and its normal (x right)."""
    normal = np.array([0.48, 0.36, 0.8])
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    # The ray through a pixel, x right, y up, z towards the camera.
    rays = np.stack(
        [
            (columns - (WIDTH - 1) / 2) / FOCAL,
            ((HEIGHT - 1) / 2 - rows) / FOCAL,
            -np.ones_like(columns, dtype=float),
        ],
        axis=2,
    )
    depth = -4 * 0.8 / (rays @ normal)
    return depth.astype(np.float32), normal.astype(np.float32)


def normal_of(depth: np.ndarray, focal: float) -> np.ndarray:
    """Normals by finite differences of the points of a depth map, away from its border."""
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack(
        [
            (columns - (width - 1) / 2) / focal * depth,
            ((height - 1) / 2 - rows) / focal * depth,
            -depth,
        ],
        axis=2,
    )
    along = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    found = np.cross(down, along)
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def scene() -> dict[str, Any]:
    depth, normal = plane()
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 251
    return dict(
        img=np.repeat(labels[..., None], 3, 2).astype(np.uint8),
        img_shape=(HEIGHT, WIDTH),
        gt_seg_map=labels.astype(np.uint8),
        gt_depth_map=depth,
        gt_disparity_map=10 / depth,
        gt_normal_map=np.broadcast_to(normal, (HEIGHT, WIDTH, 3)).copy(),
        seg_fields=['gt_seg_map', 'gt_depth_map', 'gt_disparity_map', 'gt_normal_map'],
    )


def test_the_test_scene_is_consistent() -> None:
    depth, normal = plane()
    np.testing.assert_allclose(
        normal_of(depth, FOCAL), np.broadcast_to(normal, (28, 38, 3)), atol=1e-3
    )


def test_zoom_divides_depth_and_multiplies_disparity() -> None:
    before = scene()
    results = RandomZoom(scale=(WIDTH, HEIGHT), ratio_range=(2.0, 2.0))(scene())
    assert results['img'].shape[:2] == (2 * HEIGHT, 2 * WIDTH)
    for field, factor in (('gt_depth_map', 0.5), ('gt_disparity_map', 2.0)):
        assert results[field].dtype == np.float32
        np.testing.assert_allclose(results[field][::2, ::2], factor * before[field], rtol=1e-6)
    assert np.array_equal(results['gt_seg_map'][::2, ::2], before['gt_seg_map'])
    assert np.array_equal(results['gt_normal_map'][::2, ::2], before['gt_normal_map'])


@pytest.mark.parametrize('keep_ratio', [True, False])
def test_a_smaller_base_scale_is_no_zoom(keep_ratio: bool) -> None:
    """Training on half the size sees the same distances as testing on half the size."""
    before = scene()
    zoom = RandomZoom((WIDTH // 2, HEIGHT // 2), (1.0, 1.0), keep_ratio=keep_ratio)
    results = zoom(scene())
    assert results['img'].shape[:2] == (HEIGHT // 2, WIDTH // 2)
    assert set(np.unique(results['gt_depth_map'])) <= set(np.unique(before['gt_depth_map']))


def test_a_mirrored_plane_is_a_plane_with_the_mirrored_normal() -> None:
    """The normals that the mirrored depth map implies are the mirrored normals."""
    np.random.seed(0)
    results = RandomMirror(prob=1.0)(scene())
    implied = normal_of(results['gt_depth_map'].astype(float), FOCAL)
    np.testing.assert_allclose(results['gt_normal_map'][1:-1, 1:-1], implied, atol=1e-3)
    assert np.array_equal(results['gt_seg_map'], results['img'][..., 0])
    assert not np.array_equal(results['gt_seg_map'], scene()['gt_seg_map'])


def test_a_plane_upside_down() -> None:
    np.random.seed(0)
    results = RandomMirror(prob=1.0, direction='vertical')(scene())
    implied = normal_of(results['gt_depth_map'].astype(float), FOCAL)
    np.testing.assert_allclose(results['gt_normal_map'][1:-1, 1:-1], implied, atol=1e-3)


def test_holes_stay_holes() -> None:
    results = scene()
    results['gt_depth_map'][10, 10] = np.nan
    zoomed = RandomZoom((WIDTH, HEIGHT), (2.0, 2.0))(results)
    assert np.isnan(zoomed['gt_depth_map'][20:22, 20:22]).all()
    assert np.isnan(zoomed['gt_depth_map']).sum() == 4


def test_packing_puts_channels_first() -> None:
    results = scene()
    sample = PackDenseInputs()(dict(results))['data_samples']
    assert sample.gt_sem_seg.shape == sample.gt_depth_map.shape == (HEIGHT, WIDTH)
    assert sample.gt_disparity_map.data.shape == (1, HEIGHT, WIDTH)
    assert np.array_equal(sample.gt_normal_map.data[1], results['gt_normal_map'][..., 1])
