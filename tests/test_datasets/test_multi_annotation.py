"""Data sets with several dense annotations, in the layouts that users have."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fixtures_dense import (
    ROOT,
    SIZE,
    draw,
    write_arrays,
    write_cityscapes,
    write_nyud,
)
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmgradsplit.registry import DATASETS


@pytest.fixture(autouse=True)
def in_our_scope() -> None:
    init_default_scope('mmgradsplit')


def validation_set(name: str, root: Path, **options: Any) -> Any:
    """The validation data of a base config, at the size of its files."""
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{name}.py')
    dataset = next(iter(cfg.val_dataloader.values())).dataset
    dataset.data_root = str(root)
    dataset.pipeline = [step for step in dataset.pipeline if step['type'] != 'mmseg.Resize']
    dataset.update(options)
    return DATASETS.build(dataset)


def test_images_labels_from_one_and_arrays(tmp_path: Path) -> None:
    dataset = validation_set('nyuv2_40', write_nyud(tmp_path / 'nyud'))
    assert len(dataset) == 3
    rng = np.random.default_rng(0)
    scenes = [draw(rng) for _ in range(6)][3:]
    for item, scene in zip(dataset, scenes, strict=True):
        sample = item['data_samples']
        labels = sample.gt_sem_seg.data[0].numpy()
        assert (labels[0] == 255).all()
        assert (labels[1:] == scene['seg'][1:]).all()
        assert np.array_equal(sample.gt_depth_map.data[0], scene['depth'])
        normal = sample.gt_normal_map.data.permute(1, 2, 0).numpy()
        np.testing.assert_allclose(normal, scene['normal'], rtol=1e-6)
    assert len(dataset.metainfo['classes']) == 40


def test_arrays_give_the_picture_that_an_image_file_gives(tmp_path: Path) -> None:
    dataset = validation_set('nyuv2_13', write_arrays(tmp_path / 'nyu' / 'val'))
    rng = np.random.default_rng(0)
    for item in dataset:
        scene = draw(rng)
        assert np.array_equal(item['inputs'].permute(1, 2, 0), scene['image'])
        labels = item['data_samples'].gt_sem_seg.data[0].numpy()
        assert (labels[0] == 255).all()
        assert (labels[1:] == scene['seg'][1:]).all()
        assert np.array_equal(item['data_samples'].gt_depth_map.data[0], scene['depth'])
    assert len(dataset.metainfo['classes']) == 13


def test_cityscapes_ids_are_those_of_its_own_scripts(tmp_path: Path) -> None:
    """Against Cityscapes' published table of ids and training ids, and its disparity rule."""
    root = write_cityscapes(tmp_path / 'city')
    dataset = validation_set('cityscapes_19', root)
    train_ids = {
        7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12,
        26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18,
    }  # fmt: skip
    sample = dataset[1]['data_samples']
    stem = 'ulm/ulm_000001_000019'
    ids = cv2.imread(str(root / f'gtFine/val/{stem}_gtFine_labelIds.png'), cv2.IMREAD_UNCHANGED)
    stored = cv2.imread(str(root / f'disparity/val/{stem}_disparity.png'), cv2.IMREAD_UNCHANGED)
    for (row, column), label in np.ndenumerate(ids):
        assert sample.gt_sem_seg.data[0, row, column] == train_ids.get(int(label), 255)
        p = float(stored[row, column])
        found = float(sample.gt_disparity_map.data[0, row, column])
        assert np.isnan(found) if p == 0 else found == pytest.approx((p - 1) / 256)
    assert (stored == 0).any() or stored.min() > 0
    assert dataset.metainfo['classes'][13] == 'car'


@pytest.mark.parametrize('bad', [np.nan, np.inf, -1.0, 0.0])
def test_a_depth_that_was_not_measured_is_nan(tmp_path: Path, bad: float) -> None:
    root = write_nyud(tmp_path / 'nyud')
    path = root / 'depth' / '00003.npy'
    depth = np.load(path)
    depth[2:5, 7] = bad
    np.save(path, depth)
    found = validation_set('nyuv2_40', root)[0]['data_samples'].gt_depth_map.data[0]
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[2:5, 7] = True
    assert torch.equal(found.isnan(), expected)


def test_a_normal_without_length_is_nan(tmp_path: Path) -> None:
    root = write_nyud(tmp_path / 'nyud')
    path = root / 'normals' / '00003.npy'
    normal = np.load(path)
    normal[0, 0], normal[1, 1, 2] = 0, np.nan
    np.save(path, 3 * normal)
    found = validation_set('nyuv2_40', root)[0]['data_samples'].gt_normal_map.data
    assert int(found.isnan().all(0).sum()) == 2
    assert int(found.isnan().any(0).sum()) == 2
    lengths = found.norm(dim=0)[~found.isnan().any(0)]
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_missing_annotation_is_left_out(tmp_path: Path) -> None:
    root = write_nyud(tmp_path / 'nyud')
    (root / 'depth' / '00004.npy').unlink()
    dataset = validation_set('nyuv2_40', root)
    have = ['gt_depth_map' in item['data_samples'] for item in dataset]
    assert have == [True, False, True]
    assert all('gt_sem_seg' in item['data_samples'] for item in dataset)


def break_folder(root: Path) -> None:
    shutil.rmtree(root / 'depth')


def break_all(root: Path) -> None:
    for file in (root / 'depth').iterdir():
        file.unlink()


def break_image(root: Path) -> None:
    (root / 'images' / '00004.jpg').unlink()


def break_list(root: Path) -> None:
    (root / 'gt_sets' / 'val.txt').unlink()


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (break_folder, r'data_prefix\.depth_map_path: no folder .*depth'),
        (break_all, r'data_prefix\.depth_map_path: .* has no file .NAME\.npy. for any of the 3'),
        (break_image, r'ann_file: .* names 1 images that are not in .*00004\.jpg'),
        (break_list, r'ann_file: no file .*val\.txt'),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, damage: Any, message: str) -> None:
    root = write_nyud(tmp_path / 'nyud')
    damage(root)
    with pytest.raises(FileNotFoundError, match=message):
        validation_set('nyuv2_40', root)


def test_bad_options_are_named(tmp_path: Path) -> None:
    root = write_nyud(tmp_path / 'nyud')
    with pytest.raises(ValueError, match=r'num_classes of NYUv2 must be 13 or 40, got 41'):
        validation_set('nyuv2_40', root, num_classes=41)
    with pytest.raises(ValueError, match=r'data_prefix and .* must have the same keys'):
        validation_set('nyuv2_40', root, data_prefix=dict(img_path='images', depth='depth'))


@pytest.mark.parametrize(
    ('folder', 'content', 'message'),
    [
        ('image', np.zeros((4, 4)), r'a picture is \[H x W x 3\]'),
        ('image', np.full((4, 4, 3), 9.0), 'have values from 0 to 1'),
        ('depth', np.zeros((4, 4, 2)), 'a depth map has 1 values a pixel'),
        ('normal', np.zeros((4, 4)), 'a normal map has 3 values a pixel'),
    ],
)
def test_a_file_of_another_form_is_named(
    tmp_path: Path, folder: str, content: np.ndarray, message: str
) -> None:
    root = write_arrays(tmp_path / 'val')
    np.save(root / folder / '0', content)
    with pytest.raises(ValueError, match=rf'{folder}/0\.npy: .*{message}'):
        validation_set('nyuv2_13', root)[0]
