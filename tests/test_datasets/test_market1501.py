"""Market-1501's reader on files in the published form."""

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmgradsplit.datasets.market1501 import Market1501

TRAIN = ['0007_c2s1_000001_01.jpg', '0002_c1s1_000451_03.jpg', '0002_c3s1_000551_00.jpg',
         '1500_c6s4_000001_01.jpg']  # fmt: skip
QUERY = ['0001_c1s1_001051_00.jpg', '0003_c4s1_000001_00.jpg']
GALLERY = ['-1_c1s1_000401_03.jpg', '0000_c5s1_000151_01.jpg', '0001_c2s1_001051_00.jpg',
           '0003_c4s2_000001_00.jpg']  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for folder, names in dict(
        bounding_box_train=TRAIN, query=QUERY, bounding_box_test=GALLERY
    ).items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'Thumbs.db').write_bytes(b'')
        for name in names:
            cv2.imwrite(str(tmp_path / folder / name), np.zeros((128, 64, 3), np.uint8))
    return tmp_path


def test_training_identities_are_numbered_in_ascending_order(root):
    dataset = Market1501(str(root), 'train')
    found = {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        found[info['img_path'].rsplit('/', 1)[1]] = (
            info['person_id'], info['camera_id'], info['gt_label'],
        )  # fmt: skip
    assert found == dict(zip(TRAIN, [(7, 2, 1), (2, 1, 0), (2, 3, 0), (1500, 6, 2)], strict=True))
    assert dataset.metainfo['num_identities'] == 3
    assert sorted(dataset.get_person_ids()) == [2, 2, 7, 1500]


def test_test_split_has_queries_then_the_whole_gallery(root):
    dataset = Market1501(str(root), 'test')
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [i['is_query'] for i in infos] == [True] * 2 + [False] * 4
    assert [(i['person_id'], i['camera_id']) for i in infos] == [
        (1, 1), (3, 4), (-1, 1), (0, 5), (1, 2), (3, 4),
    ]  # fmt: skip
    assert all('gt_label' not in info for info in infos)
    assert dataset.metainfo['num_identities'] == 2
    assert dataset.test_mode


def test_builds_from_a_config_and_packs_what_the_metric_needs(root):
    dataset = ROOT_DATASETS.build(
        dict(
            _scope_='mmpretrain',
            type='mmgradsplit.Market1501',
            data_root=str(root),
            split='test',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='PackInputs', meta_keys=('person_id', 'camera_id', 'is_query')),
            ],
        )
    )
    sample = dataset[2]['data_samples'].to_dict()
    assert (sample['person_id'], sample['camera_id'], sample['is_query']) == (-1, 1, False)
    assert str(root) in repr(dataset)


def test_errors_name_the_place(root):
    with pytest.raises(ValueError, match=r"split must be.*not 'val'"):
        Market1501(str(root), 'val')
    with pytest.raises(FileNotFoundError, match=r'no folder .*bounding_box_train.*data_root'):
        Market1501(str(root / 'nowhere'))
    (root / 'query' / 'someone.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'someone\.jpg does not start with an identity'):
        Market1501(str(root), 'test')
    for path in (root / 'bounding_box_train').glob('*.jpg'):
        path.unlink()
    with pytest.raises(ValueError, match=r'no image in .*bounding_box_train'):
        Market1501(str(root))
