"""PA-100K's reader on files in the published form."""

import cv2
import numpy as np
import pytest
import scipy.io
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmgradsplit.datasets.pa100k import PA100K

SIZES = dict(train=4, val=2, test=3)


def labels_of(split: str) -> np.ndarray:
    labels = np.random.default_rng(len(split)).integers(0, 2, (SIZES[split], 26), dtype=np.uint8)
    labels[0] = 0
    return labels


def cells(names: list[str]) -> np.ndarray:
    """A column of MATLAB strings, as the published file has them."""
    column = np.empty((len(names), 1), dtype=object)
    column[:, 0] = names
    return column


def content() -> dict:
    number, mat = 1, {}
    for split, size in SIZES.items():
        mat[f'{split}_images_name'] = cells([f'{number + i:06d}.jpg' for i in range(size)])
        mat[f'{split}_label'] = labels_of(split)
        number += size
    return mat


@pytest.fixture
def root(tmp_path):
    images = tmp_path / 'release_data' / 'release_data'
    images.mkdir(parents=True)
    for i in range(1, 1 + sum(SIZES.values())):
        cv2.imwrite(str(images / f'{i:06d}.jpg'), np.full((40, 20, 3), 20 * i, np.uint8))
    (tmp_path / 'annotation').mkdir()
    scipy.io.savemat(tmp_path / 'annotation' / 'annotation.mat', content())
    return tmp_path


@pytest.mark.parametrize('split', SIZES)
def test_reads_each_split(root, split):
    dataset = PA100K(str(root), split)
    assert len(dataset) == SIZES[split]
    assert dataset.test_mode == (split != 'train')
    first = dict(train=1, val=5, test=7)[split]
    for i, row in enumerate(labels_of(split)):
        info = dataset.get_data_info(i)
        assert info['img_path'].endswith(f'release_data/release_data/{first + i:06d}.jpg')
        assert info['gt_label'] == [a for a in range(26) if row[a]]
    assert len(set(dataset.metainfo['classes'])) == 26


def test_builds_from_a_config_with_mmpretrains_pipeline(root):
    dataset = ROOT_DATASETS.build(
        dict(
            _scope_='mmpretrain',
            type='mmgradsplit.PA100K',
            data_root=str(root),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(16, 32)),
                dict(type='PackInputs'),
            ],
        )
    )
    for i, row in enumerate(labels_of('train')):  # the first has no attribute at all
        item = dataset[i]
        assert item['inputs'].shape == (3, 32, 16)
        assert item['data_samples'].gt_label.tolist() == np.flatnonzero(row).tolist()
    assert str(root) in repr(dataset)


def test_other_places(root, tmp_path):
    (root / 'annotation').rename(root / 'labels')
    (root / 'release_data').rename(root / 'pictures')
    dataset = PA100K(
        str(root), ann_file='labels/annotation.mat', data_prefix='pictures/release_data'
    )
    assert '/pictures/' in dataset.get_data_info(0)['img_path']


def write(root, **changes):
    mat = {key: value for key, value in (content() | changes).items() if value is not None}
    scipy.io.savemat(root / 'annotation' / 'annotation.mat', mat)


def test_missing_parts_are_named(root):
    with pytest.raises(ValueError, match=r"split must be.*not 'all'"):
        PA100K(str(root), 'all')
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*annotation.mat.*data_root'):
        PA100K(str(root / 'nowhere'))
    with pytest.raises(FileNotFoundError, match=r'no folder of images .*pics.*data_prefix'):
        PA100K(str(root), data_prefix='pics')


@pytest.mark.parametrize('changes, message', [
    (dict(train_label=None), r'no variable train_label'),
    (dict(train_label=np.zeros((4, 25))), r'\(4, 25\), not \(4, 26\).*metainfo'),
    (dict(train_label=np.zeros((3, 26))), r'\(3, 26\), not \(4, 26\)'),
    (dict(train_label=np.full((4, 26), 2)), r'holds \[2\], where 0 is no and 1 is yes'),
])  # fmt: skip
def test_wrong_annotation(root, changes, message):
    write(root, **changes)
    with pytest.raises(ValueError, match=message):
        PA100K(str(root))


def test_truncated_annotation(root):
    path = root / 'annotation' / 'annotation.mat'
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r'annotation.mat.*not a readable MATLAB file.*again'):
        PA100K(str(root))


def test_other_attributes_by_metainfo(root):
    write(root, train_label=np.ones((4, 3)))
    dataset = PA100K(str(root), metainfo=dict(classes=('a', 'b', 'c')))
    assert dataset.get_data_info(0)['gt_label'] == [0, 1, 2]
