"""MPII's head boxes, paired with the people that they are of."""

import numpy as np
from numpy.typing import NDArray

from mmgradsplit.utils import SampleError
from mmgradsplit.utils.data_files import MISMATCHED

from .files import read_mat

UPPER_NECK, HEAD_TOP = 8, 9
# What mmpose makes of a head box: this share of its diagonal is the head's size.
SHARE = 0.6
# Pixels by which the same joint may differ in the two files.
TOLERANCE = 2.0
# With boxes alone: how many of the heads may lie outside of their box.
OUTSIDE = 0.1
VARIABLES = ('headboxes_src', 'pos_gt_src', 'jnt_missing')


def head_sizes(instances: list[dict], path: str, people: str) -> NDArray[np.float64]:
    """The head size of each person.

    Args:
        instances: N people: ``keypoints``, shape [1 x 16 x 2], ``keypoints_visible``, shape
            [1 x 16], and ``img_path``.
        path: The file of the head boxes.
        people: The file of the people, for messages.

    Returns:
        shape [N], in pixels.

    Raises:
        SampleError: If the file is not as described, or the boxes are of other people.
    """
    content = read_mat(path, VARIABLES)
    boxes = np.asarray(content.get('headboxes_src', ()), dtype=float)
    if boxes.ndim == 2 and boxes.shape == (2, 2):
        boxes = boxes[..., None]  # MATLAB drops the last dimension of a single person
    if boxes.ndim != 3 or boxes.shape[:2] != (2, 2):
        raise SampleError(
            "it has no variable headboxes_src of the shape [2 x 2 x people]; is it MPII's "
            'mpii_gt_val.mat?',
            path,
        )
    joints = np.concatenate([each['keypoints'] for each in instances]).astype(float)
    visible = np.concatenate([each['keypoints_visible'] for each in instances]) > 0
    known = np.asarray(content.get('pos_gt_src', ()), dtype=float)
    if known.shape == (*joints.shape[1:], boxes.shape[2]):
        missing = np.asarray(content.get('jnt_missing', np.zeros(known.shape[::2]))) > 0
        order = _pair(joints, visible, known.transpose(2, 0, 1), ~missing.T)
    else:
        order = _by_position(joints, visible, boxes)
    wrong = np.flatnonzero(order < 0)
    if wrong.size:
        raise SampleError(
            f'its {boxes.shape[2]} head boxes are of other people than those of {people}: '
            f'{wrong.size} of {len(order)} people have none, the first in '
            f'{instances[wrong[0]]["img_path"]}; take the two files of one split',
            path,
            kind=MISMATCHED,
        )
    sizes = SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)[order]
    if not (sizes > 0).all():
        person = int(np.flatnonzero(~(sizes > 0))[0])
        raise SampleError(
            f'the head box of person {person} ({instances[person]["img_path"]}) has no size', path
        )
    return sizes


def _pair(
    joints: NDArray[np.float64],
    visible: NDArray[np.bool_],
    known: NDArray[np.float64],
    annotated: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """For each of N people the row of M boxes with the same joints, -1 where there is none.

    Args:
        joints: shape [N x K x 2].
        visible: shape [N x K].
        known: The joints of the boxes, shape [M x K x 2].
        annotated: Which of them there are, shape [M x K].
    """
    order = np.full(len(joints), -1)
    for person, (points, shown) in enumerate(zip(joints, visible, strict=True)):
        # Its own place first: nearly always that is it.
        place = slice(person, person + 1)
        if person < len(known) and _same(points, shown, known[place], annotated[place])[0]:
            order[person] = person
        else:
            found = np.flatnonzero(_same(points, shown, known, annotated))
            order[person] = found[0] if found.size else -1
    return order


def _same(
    points: NDArray[np.float64],
    shown: NDArray[np.bool_],
    known: NDArray[np.float64],
    annotated: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which of M people, known as [M x K x 2], have a person's joints, [K x 2]."""
    both = annotated & shown
    far = (np.abs(known - points) > TOLERANCE).any(2) & both
    # A person without a joint in common has nothing to be told by.
    return np.asarray(~far.any(1) & (both.any(1) | (~shown.any() & ~annotated.any(1))))


def _by_position(
    joints: NDArray[np.float64], visible: NDArray[np.bool_], boxes: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The n-th box for the n-th person, -1 where too many heads are beside their box."""
    order = np.arange(len(joints))
    if boxes.shape[2] != len(joints):
        return np.full(len(joints), -1)
    shown = visible[:, [UPPER_NECK, HEAD_TOP]].all(1)
    head = joints[:, [UPPER_NECK, HEAD_TOP]].mean(1)
    corners = np.sort(boxes.transpose(2, 0, 1), axis=1)
    room = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)[:, None]
    inside = ((head >= corners[:, 0] - room) & (head <= corners[:, 1] + room)).all(1)
    beside = shown & ~inside
    if beside.sum() > OUTSIDE * max(shown.sum(), 1):
        order[beside] = -1
    return order
