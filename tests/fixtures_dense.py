"""Tiny dense data sets on disk, in the three layouts that are read, and a joint run on one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
SIZE = (24, 32)  # height, width


def draw(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """A picture and its annotations: labels 0 to 12, metres, unit normals."""
    height, width = size
    normal = rng.normal(size=(height, width, 3)).astype(np.float32)
    return dict(
        image=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        seg=rng.integers(0, 13, (height, width)),
        depth=rng.uniform(0.5, 8, (height, width)).astype(np.float32),
        normal=normal / np.linalg.norm(normal, axis=2, keepdims=True),
    )


def write_nyud(root: Path, number: int = 6, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """Images, PNG labels from 1 on, and arrays, with lists of names; half of it training."""
    rng = np.random.default_rng(seed)
    for folder in ('images', 'segmentation', 'depth', 'normals', 'gt_sets'):
        (root / folder).mkdir(parents=True)
    names = [f'{i:05d}' for i in range(number)]
    for name in names:
        scene = draw(rng, size)
        assert cv2.imwrite(str(root / 'images' / f'{name}.jpg'), scene['image'])
        labels = (scene['seg'] + 1).astype(np.uint8)
        labels[0] = 0
        assert cv2.imwrite(str(root / 'segmentation' / f'{name}.png'), labels)
        np.save(root / 'depth' / name, scene['depth'])
        np.save(root / 'normals' / name, scene['normal'])
    for split, of in (('train', names[: number // 2]), ('val', names[number // 2 :])):
        (root / 'gt_sets' / f'{split}.txt').write_text('\n'.join(of) + '\n')
    return root


def write_arrays(root: Path, number: int = 2, seed: int = 0) -> Path:
    """One array a picture and annotation, labels from 0 on and -1; RGB from 0 to 1."""
    rng = np.random.default_rng(seed)
    for folder in ('image', 'label', 'depth', 'normal'):
        (root / folder).mkdir(parents=True)
    for i in range(number):
        scene = draw(rng)
        labels = scene['seg'].astype(np.float32)
        labels[0] = -1
        np.save(root / 'image' / str(i), scene['image'][..., ::-1] / 255)
        np.save(root / 'label' / str(i), labels)
        np.save(root / 'depth' / str(i), scene['depth'][..., None])
        np.save(root / 'normal' / str(i), scene['normal'])
    return root


def write_cityscapes(root: Path, number: int = 2, seed: int = 0) -> Path:
    """Cityscapes' folders of the split ``val``: label ids, 16-bit disparity."""
    rng = np.random.default_rng(seed)
    kinds = dict(leftImg8bit='leftImg8bit', gtFine='gtFine_labelIds', disparity='disparity')
    for i in range(number):
        content = dict(
            leftImg8bit=rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
            gtFine=rng.integers(0, 34, SIZE).astype(np.uint8),
            disparity=rng.integers(0, 2**15, SIZE).astype(np.uint16),
        )
        for kind, ending in kinds.items():
            path = root / kind / 'val' / 'ulm' / f'ulm_{i:06d}_000019_{ending}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), content[kind])
    return root


def dense_config(
    name: str,
    data: Path,
    work_dir: Path,
    tasks: Sequence[str] = ('seg', 'depth'),
    **options: Any,
) -> Config:
    """A config of configs/sta on the drawn scenes, on tiny data and with a tiny network.

    Args:
        name: Name of the config.
        data: Folder that :func:`write_nyud` wrote.
        work_dir: Of the run.
        tasks: Names of the tasks.
        **options: Values for keys of the config, with ``__`` for a dot.
    """
    cfg = Config.fromfile(ROOT / 'configs' / 'sta' / f'{name}.py')
    head = dict(in_channels=32, channels=8, dilations=(1, 2), norm_cfg=dict(num_groups=2))
    one = dict(decode_head=dict(head=head))
    steps = {
        3: dict(crop_size=SIZE),
        2: dict(scale=SIZE[::-1]),
    }
    pipeline = [dict(step, **steps.get(i, {})) for i, step in enumerate(_steps(cfg))]
    cfg.merge_from_dict(
        {
            'tasks': list(tasks),
            'work_dir': str(work_dir),
            'model.backbone.base_channels': 4,
            'model.backbone.stem_channels': 4,
            'model.tasks': dict(seg=dict(decode_head=head), depth=one, normal=one),
            'train_dataloader': dict(
                batch_size=3,
                num_workers=0,
                persistent_workers=False,
                dataset=dict(data_root=str(data), pipeline=pipeline),
            ),
            'val_dataloader': {task: _validation(data) for task in ('seg', 'depth', 'normal')},
            'test_dataloader': {task: _validation(data) for task in ('seg', 'depth', 'normal')},
            'train_cfg': dict(max_epochs=2, val_begin=2, val_interval=2),
            'param_scheduler': [],
            'custom_hooks': [],
            'vis_backends': [],
            **{key.replace('__', '.'): value for key, value in options.items()},
        }
    )
    return cfg


def _steps(cfg: Config) -> list[dict]:
    return [dict(step) for step in cfg.train_dataloader.dataset.pipeline]


def _validation(data: Path) -> dict:
    return dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=str(data)))
