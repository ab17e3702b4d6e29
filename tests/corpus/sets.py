"""A small whole data set of each kind that the project reads, with the config that reads it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.io

WIDTH, HEIGHT = 32, 24
NUMBER = 3
PARTS = 20
LIP_PALETTE = [(i, 255 - i, 3 * i) for i in range(PARTS)]


def picture(path: Path, seed: int = 0) -> None:
    """A picture whose pixels differ, in the format that the name says."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(path), image)


def labels(classes: int, first: int = 0) -> np.ndarray:
    """A label map that has all of some classes."""
    values = first + np.arange(WIDTH * HEIGHT) * classes // (WIDTH * HEIGHT)
    return values.reshape(HEIGHT, WIDTH).astype(np.uint8)


def save(path: Path, values: np.ndarray) -> None:
    """Write an array, as ``.npy`` or as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, values)
    else:
        assert cv2.imwrite(str(path), values)


def pa100k(root: Path) -> None:
    names = [f'{i:06d}.jpg' for i in range(NUMBER)]
    for i, name in enumerate(names):
        picture(root / 'release_data/release_data' / name, i)
    write_pa100k(root, names, np.eye(NUMBER, 26, dtype=np.uint8))


def write_pa100k(root: Path, names: list[str], values: np.ndarray) -> None:
    """PA-100K's annotation, of all splits alike."""
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    content = {f'{s}_images_name': cells for s in ('train', 'val', 'test')}
    content |= {f'{s}_label': values for s in ('train', 'val', 'test')}
    (root / 'annotation').mkdir(exist_ok=True)
    scipy.io.savemat(root / 'annotation/annotation.mat', content)


def market(root: Path) -> None:
    for person in range(1, 1 + NUMBER):
        picture(root / f'bounding_box_train/{person:04d}_c1s1_000{person}51_01.jpg', person)


def mpii(root: Path) -> None:
    people, boxes = [], np.zeros((2, 2, NUMBER))
    for i in range(NUMBER):
        picture(root / f'images/{i}.jpg', i)
        joints = np.random.default_rng(i).uniform(3, 21, (16, 2)).round(1)
        person = dict(image=f'{i}.jpg', center=[16.0, 12.0], scale=0.1, joints=joints.tolist())
        people.append(dict(person, joints_vis=[1] * 16))
        boxes[:, :, i] = [joints[8:10].min(0) - 1, joints[8:10].max(0) + 1 + i]
    (root / 'annotations').mkdir()
    (root / 'annotations/val.json').write_text(json.dumps(people))
    write_heads(root, people, boxes)


def write_heads(root: Path, people: list[dict], boxes: np.ndarray) -> None:
    """MPII's head boxes, with the joints of whom they are of."""
    joints = np.stack([np.array(person['joints']) for person in people], axis=2)
    content = dict(headboxes_src=boxes, pos_gt_src=joints, jnt_missing=np.zeros(joints.shape[::2]))
    scipy.io.savemat(root / 'annotations/heads.mat', content)


def lip(root: Path) -> None:
    for i in range(NUMBER):
        picture(root / f'images/{i}.jpg', i)
        save(root / f'labels/{i}.png', labels(PARTS))


def masks(root: Path) -> None:
    for i in range(NUMBER):
        picture(root / f'images/{i}.png', i)
        save(root / f'masks/{i}.png', labels(2))


def scenes(root: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(NUMBER):
        picture(root / f'images/{i}.jpg', i)
        save(root / f'segmentation/{i}.png', labels(40, first=1))
        save(root / f'depth/{i}.npy', rng.uniform(1, 9, (HEIGHT, WIDTH)).astype(np.float32))
        save(root / f'normals/{i}.npy', unit_vectors(i))


def unit_vectors(seed: int) -> np.ndarray:
    """Normals, shape [H x W x 3]."""
    values = np.random.default_rng(seed).normal(size=(HEIGHT, WIDTH, 3)).astype(np.float32)
    return values / np.linalg.norm(values, axis=2, keepdims=True)


def arrays(root: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(NUMBER):
        save(root / f'image/{i}.npy', rng.uniform(0, 1, (HEIGHT, WIDTH, 3)))
        seg = labels(14).astype(np.float64) - 1
        save(root / f'label/{i}.npy', seg)
        save(root / f'depth/{i}.npy', rng.uniform(1, 9, (HEIGHT, WIDTH, 1)))
        save(root / f'normal/{i}.npy', unit_vectors(i))


def cityscapes(root: Path) -> None:
    for i in range(NUMBER):
        name = f'ulm/ulm_00000{i}_000019'
        picture(root / f'leftImg8bit/{name}_leftImg8bit.png', i)
        save(root / f'gtFine/{name}_gtFine_labelIds.png', labels(34))
        far = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH)
        save(root / f'disparity/{name}_disparity.png', far * 20)


def voc(root: Path) -> None:
    for i in range(NUMBER):
        picture(root / f'VOC2007/JPEGImages/00{i}.jpg', i)
        write_xml(root / f'VOC2007/Annotations/00{i}.xml', (4, 4, 20, 18))
    (root / 'VOC2007/ImageSets').mkdir()
    names = ''.join(f'00{i}\n' for i in range(NUMBER))
    (root / 'VOC2007/ImageSets/train.txt').write_text(names)


def write_xml(
    path: Path,
    box: tuple[float, ...],
    name: str = 'cat',
    size: tuple[int, int] | None = (WIDTH, HEIGHT),
) -> None:
    """An annotation of PASCAL VOC with one object."""
    edges = ''.join(
        f'<{edge}>{value}</{edge}>'
        for edge, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True)
    )
    of = f'<size><width>{size[0]}</width><height>{size[1]}</height></size>' if size else ''
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<annotation>{of}<object><name>{name}</name><bndbox>{edges}</bndbox></object></annotation>'
    )


def coco(root: Path) -> None:
    images, annotations = [], []
    for i in range(NUMBER):
        picture(root / f'images/{i}.jpg', i)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=WIDTH, height=HEIGHT))
        square = [4, 4, 20, 4, 20, 18, 4, 18]
        annotations.append(
            dict(
                id=i + 1, image_id=i, category_id=1, bbox=[4, 4, 16, 14], area=224, iscrowd=0,
                segmentation=[square], keypoints=[5, 5, 2, 10, 10, 2, 15, 12, 2], num_keypoints=3,
            )
        )  # fmt: skip
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (root / 'train.json').write_text(json.dumps(content))


def folders(root: Path) -> None:
    for i in range(NUMBER):
        picture(root / f'train/{i}.png', i)
    (root / 'train.txt').write_text(''.join(f'{i}.png {i}\n' for i in range(NUMBER)))


def table(root: Path) -> None:
    for i in range(NUMBER):
        picture(root / f'images/{i}.jpg', i)
    (root / 'train.csv').write_text('file,hat,bag\n0.jpg,1,0\n1.jpg,0,1\n2.jpg,1,1\n')


SETS: dict[str, Callable[[Path], None]] = dict(
    pa100k=pa100k, market=market, mpii=mpii, lip=lip, masks=masks, scenes=scenes, arrays=arrays,
    cityscapes=cityscapes, voc=voc, coco=coco, people=coco, folders=folders, table=table,
)  # fmt: skip


def config(kind: str, root: Path) -> dict[str, Any]:
    """The config of a data set, as a config of the project has it."""
    load = dict(type='LoadImageFromFile')
    plain = [load, dict(type='PackInputs')]
    seg = [load, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    dense = [
        dict(type='LoadImage'), dict(type='LoadDenseAnnotations'), dict(type='PackDenseInputs')
    ]  # fmt: skip
    det = [
        load,
        dict(type='LoadAnnotations', with_bbox=True, with_mask=kind == 'coco'),
        dict(type='PackDetInputs'),
    ]
    codec = dict(type='MSRAHeatmap', input_size=(16, 16), heatmap_size=(8, 8), sigma=1)
    pose = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(16, 16)),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs'),
    ]
    nyu = dict(img_path='images', seg_map_path='segmentation', depth_map_path='depth')
    nyu13 = dict(img_path='image', seg_map_path='label', depth_map_path='depth')
    streets = dict(img_path='leftImg8bit', seg_map_path='gtFine', disparity_map_path='disparity')
    two = dict(classes=('cat', 'dog'), palette=[(1, 2, 3), (4, 5, 6)])
    of: dict[str, dict] = dict(
        pa100k=dict(_scope_='mmpretrain', type='mmgradsplit.PA100K', pipeline=plain),
        market=dict(_scope_='mmpretrain', type='mmgradsplit.Market1501', pipeline=plain),
        mpii=dict(
            _scope_='mmpose', type='mmgradsplit.MPII', ann_file='annotations/val.json',
            headbox_file='annotations/heads.mat', data_prefix=dict(img='images/'), test_mode=True,
            pipeline=pose,
        ),
        lip=dict(
            _scope_='mmseg', type='LIPDataset', pipeline=seg,
            data_prefix=dict(img_path='images', seg_map_path='labels'),
        ),
        masks=dict(
            _scope_='mmseg', type='BaseSegDataset', img_suffix='.png', pipeline=seg,
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            metainfo=dict(classes=('photo', 'digit'), palette=[(0, 0, 0), (255, 255, 255)]),
        ),
        scenes=dict(
            type='mmgradsplit.NYUv2', reduce_zero_label=True, pipeline=dense,
            data_prefix=dict(nyu, normal_map_path='normals'),
            suffixes=dict(
                img_path='.jpg', seg_map_path='.png', depth_map_path='.npy', normal_map_path='.npy'
            ),
        ),
        arrays=dict(
            type='mmgradsplit.NYUv2', num_classes=13, pipeline=dense,
            data_prefix=dict(nyu13, normal_map_path='normal'),
            suffixes=dict.fromkeys([*nyu13, 'normal_map_path'], '.npy'),
        ),
        cityscapes=dict(
            type='mmgradsplit.CityscapesScenes', data_prefix=streets,
            suffixes=dict(
                img_path='_leftImg8bit.png', seg_map_path='_gtFine_labelIds.png',
                disparity_map_path='_disparity.png',
            ),
            pipeline=[
                dense[0],
                dict(dense[1], disparity_factor=1 / 256, disparity_offset=-1.0),
                dense[2],
            ],
        ),
        voc=dict(
            _scope_='mmdet', type='VOCDataset', ann_file='VOC2007/ImageSets/train.txt',
            data_prefix=dict(sub_data_root='VOC2007/'), metainfo=two, pipeline=det,
        ),
        coco=dict(
            _scope_='mmdet', type='CocoDataset', ann_file='train.json', metainfo=two,
            data_prefix=dict(img='images/'), pipeline=det,
        ),
        people=dict(
            _scope_='mmpose', type='CocoDataset', ann_file='train.json', pipeline=pose,
            data_prefix=dict(img='images/'),
            metainfo=dict(
                dataset_name='cat', skeleton_info={}, joint_weights=[1.0] * 3, sigmas=[0.1] * 3,
                keypoint_info={
                    i: dict(name=f'k{i}', id=i, type='', swap='', color=[0, 0, 0]) for i in range(3)
                },
            ),
        ),
        folders=dict(
            _scope_='mmpretrain', type='CustomDataset', ann_file='train.txt', data_prefix='train',
            classes=['a', 'b', 'c'], pipeline=plain,
        ),
        table=dict(
            _scope_='mmpretrain', type='mmgradsplit.CSVLabels', ann_file='train.csv',
            data_prefix='images', classes=['hat', 'bag'], pipeline=plain,
        ),
    )  # fmt: skip
    return dict(of[kind], data_root=str(root))
