"""MPII's people and head boxes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from .case import add, changed, cut, pipe, write
from .sets import NUMBER, write_heads

_people = 'annotations/val.json'
_heads = 'annotations/heads.mat'
for _path in (_people, _heads):
    add(f'{_path} cut off', 'mpii', cut(_path), 'not as MPIIPeople reads|MATLAB')
    add(f'{_path} empty', 'mpii', write(_path, b''), '0 bytes')
    add(f'{_path} a pipe', 'mpii', pipe(_path), 'pipe')


def _each(**values: Any) -> Callable[[list], list]:
    return lambda people: [dict(people[0], **values), *people[1:]]


def _by_name(samples: list[dict]) -> bool:
    """Whether each person has the head size of the picture: it grows with the number there."""
    sizes = {
        int(Path(sample['data_samples'].img_path).stem): sample['data_samples'].gt_instances
        for sample in samples
    }
    return all(np.isclose(of['head_size'].item(), SIZES[number]) for number, of in sizes.items())


def _sizes() -> dict[int, float]:
    sizes = {}
    for i in range(NUMBER):
        joints = np.random.default_rng(i).uniform(3, 21, (16, 2)).round(1)[8:10]
        sizes[i] = 0.6 * float(np.linalg.norm(joints.max(0) - joints.min(0) + 2 + i))
    return sizes


SIZES = _sizes()
_seen = dict(
    pipeline=[
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=(16, 16)),
        dict(type='PackPoseInputs'),
    ]
)
add(
    'people in another order than the heads',
    'mpii',
    changed(_people, lambda p: p[::-1]),
    options=_seen,
    look=_by_name,
)
add(
    'a list of people that was cut',
    'mpii',
    changed(_people, lambda p: p[1:]),
    options=_seen,
    look=_by_name,
)
add('people in their own order', 'mpii', lambda root: root / _heads, options=_seen, look=_by_name)
add(
    'no joints',
    'mpii',
    changed(_people, lambda p: [dict(p[0], joints=[])]),
    'not as MPIIPeople reads',
    options=dict(headbox_file=None),
)
add(
    'a person without joints',
    'mpii',
    changed(_people, lambda p: [{k: v for k, v in p[0].items() if k != 'joints'}]),
    "KeyError: 'joints'",
)
add(
    'a joint of NaN',
    'mpii',
    changed(_people, _each(joints=[[float('nan')] * 2] + [[5, 5]] * 15)),
    'keypoint|head boxes',
    options=dict(headbox_file=None),
)
add(
    'a joint far away',
    'mpii',
    changed(_people, _each(joints=[[1e6, 5]] + [[5, 5]] * 15)),
    'keypoint',
    options=dict(headbox_file=None),
)
add('an image without a number', 'mpii', changed(_people, _each(image='photo.jpg')), 'ValueError')


def _other_heads(root: Path) -> Path:
    people = json.loads((root / _people).read_text())
    for person in people:
        person['joints'] = (np.array(person['joints'])[::-1] + 3).tolist()
    write_heads(root, people, scipy.io.loadmat(root / _heads)['headboxes_src'])
    return root / _heads


def _boxes(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Path]:
    def changed(root: Path) -> Path:
        boxes = change(scipy.io.loadmat(root / _heads)['headboxes_src'])
        scipy.io.savemat(root / _heads, dict(headboxes_src=boxes))
        return root / _heads

    return changed


add('heads of other people', 'mpii', _other_heads, 'other people')
add('boxes alone', 'mpii', _boxes(lambda b: b))
add('boxes alone, one too few', 'mpii', _boxes(lambda b: b[..., 1:]), 'other people')
add('boxes alone, elsewhere', 'mpii', _boxes(lambda b: b + 100), 'other people')
add('boxes without size', 'mpii', _boxes(lambda b: np.stack([b[0], b[0]])), 'other people|no size')
add(
    'another MATLAB file',
    'mpii',
    lambda root: (scipy.io.savemat(root / _heads, dict(a=1)), root / _heads)[1],
    'headboxes_src',
)
