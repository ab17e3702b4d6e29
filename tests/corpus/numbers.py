"""Depth, disparity and normals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .case import MAPS, add, array, same_maps
from .sets import HEIGHT, NUMBER, WIDTH, save, unit_vectors

_depth = np.linspace(1, 5, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
_png = dict(
    suffixes=dict(
        img_path='.jpg', seg_map_path='.png', depth_map_path='.png', normal_map_path='.npy'
    )
)


def _all_depths(factor: float, kind: Any) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        for i in range(NUMBER):
            save(root / f'depth/{i}.png', (_depth * factor).astype(kind))
        return root / 'depth/0.png'

    return change


def _load(**options: Any) -> dict:
    return dict(
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations', **options),
            dict(type='PackDenseInputs'),
        ]
    )


for _name, _factor, _text in (
    ('millimetres', 1000, r'median is \d+.*millimetres: [23]\.\d+ m with depth_factor=0\.001'),
    ('256ths of a metre', 256, r'KITTI\): [23]\.\d+ m with depth_factor=1/256'),
    ('5000ths of a metre', 5000, r'TUM, ICL\): [23]\.\d+ m with depth_factor=1/5000'),
):
    add(
        f'depth in {_name}, no factor',
        'scenes',
        _all_depths(_factor, np.uint16),
        _text,
        options=_png,
    )
    add(
        f'depth in {_name} with its factor',
        'scenes',
        _all_depths(_factor, np.uint16),
        options=dict(_png, **_load(depth_factor=1 / _factor)),
        look=same_maps('gt_depth_map', _depth),
    )
add(
    'depth of 8 bits, no factor',
    'scenes',
    _all_depths(1, np.uint8),
    'uint8.*depth_factor',
    options=_png,
)
add(
    'depth with another factor than it has',
    'scenes',
    _all_depths(1000, np.uint16),
    r'median of the depth is [23]\d{3} m.*depth_factor',
    options=dict(_png, **_load(depth_factor=1.0)),
    check_alone=True,
)
add(
    'depth in millimetres as floating point',
    'scenes',
    array('depth/1.npy', lambda: _depth * 1000),
    'median.*depth_factor',
)
add('depth of another size', 'scenes', array('depth/1.npy', lambda: _depth[::2, ::2]), '16 x 12')
add(
    'depth as colours', 'scenes', array('depth/1.npy', lambda: np.ones((HEIGHT, WIDTH, 3))), 'shape'
)
add(
    'depth that is measured nowhere',
    'scenes',
    array('depth/1.npy', lambda: _depth * 0),
    'nothing is measured',
    check_alone=True,
)
add(
    'depth with NaN and infinity',
    'scenes',
    array(
        'depth/1.npy', lambda: np.where(_depth < 2, np.nan, np.where(_depth > 4, np.inf, _depth))
    ),
    look=same_maps('gt_depth_map', np.where((_depth < 2) | (_depth > 4), np.nan, _depth)),
)
add('complex numbers', 'scenes', array('depth/1.npy', lambda: _depth * 1j), 'real numbers')
add(
    'disparity without a factor',
    'cityscapes',
    lambda root: root / 'disparity/ulm/ulm_000000_000019_disparity.png',
    'disparity_factor',
    options=_load(),
)
add(
    'disparity of another size',
    'cityscapes',
    array(MAPS['cityscapes disparity'], lambda: np.ones((5, 5), np.uint16)),
    '5 x 5',
)
_normals = unit_vectors(9)
_coded = dict(
    suffixes=dict(
        img_path='.jpg', seg_map_path='.png', depth_map_path='.npy', normal_map_path='.png'
    )
)


def _all_normals(values: np.ndarray) -> Callable[[Path], Path]:
    def change(root: Path) -> Path:
        for i in range(NUMBER):
            save(root / f'normals/{i}.png', np.ascontiguousarray(values[..., ::-1]))  # BGR
        return root / 'normals/0.png'

    return change


def _with_holes() -> tuple[np.ndarray, np.ndarray]:
    codes, expected = np.rint((_normals + 1) / 2 * 255).astype(np.uint8), _normals.copy()
    for row, value in enumerate((127, 128, 0, 255)):
        codes[row], expected[row] = value, np.nan
    return codes, expected.transpose(2, 0, 1)


_codes, _expected = _with_holes()
add(
    'normals of 8 bits with holes',
    'scenes',
    _all_normals(_codes),
    options=_coded,
    look=same_maps('gt_normal_map', _expected),
)
add(
    'normals of 16 bits',
    'scenes',
    _all_normals(np.rint((_normals + 1) / 2 * 65535).astype(np.uint16)),
    options=_coded,
    look=same_maps('gt_normal_map', _normals.transpose(2, 0, 1)),
)
add(
    'normals of 8 bits in an array',
    'scenes',
    array('normals/1.npy', lambda: _codes),
    look=same_maps('gt_normal_map', _expected),
)
add(
    'normals coded from 0 to 1',
    'scenes',
    array('normals/1.npy', lambda: (_normals + 1) / 2),
    'no normals',
)
add(
    'normals coded from 0 to 255 as floating point',
    'scenes',
    array('normals/1.npy', lambda: _codes.astype(np.float32)),
    'no normals',
)
add(
    'a picture for normals',
    'scenes',
    _all_normals(np.full((HEIGHT, WIDTH, 3), (200, 150, 90), np.uint8)),
    'no normals',
    options=_coded,
)
add(
    'normals of 32 bits', 'scenes', array('normals/1.npy', lambda: _codes.astype(np.int32)), 'int32'
)
add('normals of another size', 'scenes', array('normals/1.npy', lambda: _normals[:9]), '32 x 9')
add(
    'normals with the channels first',
    'scenes',
    array('normals/1.npy', lambda: _normals.transpose(2, 0, 1)),
    'shape',
)
