"""Draws people and writes four data sets, each in the format that the real one ships in."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np

from mmgradsplit.synthetic.made import make_folder
from mmgradsplit.version import __version__

from .market import write_market1501
from .names import ATTRIBUTES, JOINTS, PARTS
from .person import sample_person
from .scene import ATTRIBUTE, CAMERAS, PARSING, POSE
from .shot import crop_shot, take
from .skeleton import ATHLETE, sample_pose
from .writing import (
    ATTRIBUTE_SHOT,
    PARSING_SHOT,
    POSE_SHOT,
    Crew,
    cells,
    folders,
    save_image,
    save_mat,
)

MPII_UNIT = 200.0  # MPII's scale is the person's height over 200 pixels


def make_pedestrians(
    out: str | Path,
    seed: int = 0,
    attribute_train: int = 2000,
    attribute_val: int = 200,
    attribute_test: int = 500,
    reid_train_ids: int = 60,
    reid_test_ids: int = 30,
    images_per_id: int = 18,
    distractors: int = 60,
    pose_train: int = 1600,
    pose_val: int = 200,
    parsing_train: int = 1200,
    parsing_val: int = 150,
    workers: int | None = None,
) -> Path:
    """Write ``pa100k/``, ``market1501/``, ``mpii/`` and ``lip/`` with drawn people.

    Each set has a style of its own, identities of training and test are different people, and the
    same arguments give the same bytes, whatever the number of workers. A folder that was made with
    the same arguments is left as it is.

    Args:
        out: The folder to write.
        seed: Seed of all that is random.
        attribute_train: Training images of PA-100K's form.
        attribute_val: Validation images of the same.
        attribute_test: Test images of the same.
        reid_train_ids: Training identities of Market-1501's form.
        reid_test_ids: Test identities of the same.
        images_per_id: Images of each identity, over the six cameras in turn; of a test identity's,
            one in each camera is a query and the rest is gallery.
        distractors: Distractor images in the gallery, and as many junk images.
        pose_train: Training images of MPII's form.
        pose_val: Validation images of the same.
        parsing_train: Training images of LIP's form.
        parsing_val: Validation images of the same.
        workers: Processes that draw; as many as there are cores by default.

    Returns:
        ``out``.

    Raises:
        ValueError: If a size is below 1 (``distractors``: below 0), or ``images_per_id`` below 12.
        FileExistsError: If ``out`` holds something else, or was made with other arguments.
    """
    arguments = dict(
        seed=seed,
        attribute_train=attribute_train,
        attribute_val=attribute_val,
        attribute_test=attribute_test,
        reid_train_ids=reid_train_ids,
        reid_test_ids=reid_test_ids,
        images_per_id=images_per_id,
        distractors=distractors,
        pose_train=pose_train,
        pose_val=pose_val,
        parsing_train=parsing_train,
        parsing_val=parsing_val,
    )
    for name, number in arguments.items():
        if number < (0 if name in ('seed', 'distractors') else 1):
            raise ValueError(f'pedestrians: {name}={number} is too small')

    if images_per_id < 2 * len(CAMERAS):
        raise ValueError(
            f'pedestrians: images_per_id={images_per_id}: each identity needs a query and a '
            f'gallery image in each of the {len(CAMERAS)} cameras, so at least {2 * len(CAMERAS)}'
        )
    market = (reid_train_ids, reid_test_ids, images_per_id, distractors)

    def write(folder: Path) -> dict[str, str]:
        with Crew(workers or os.cpu_count() or 1) as draw:
            sizes = dict(train=attribute_train, val=attribute_val, test=attribute_test)
            _write_pa100k(folder / 'pa100k', seed, sizes, draw)
            write_market1501(folder / 'market1501', seed, *market, draw)
            _write_mpii(folder / 'mpii', seed, dict(train=pose_train, val=pose_val), draw)
            _write_lip(folder / 'lip', seed, dict(train=parsing_train, val=parsing_val), draw)
        return dict(version=__version__)

    return make_folder(out, arguments, write)


# PA-100K


def _attribute_job(folder: Path, seed: int, number: int) -> np.ndarray:
    rng = np.random.default_rng((seed, ATTRIBUTE_SHOT, number))
    height = int(rng.integers(120, 200))
    shot = crop_shot(rng, sample_person(rng), ATTRIBUTE, (height // 2, height))
    save_image(folder / f'{number:06d}.jpg', shot.image, ATTRIBUTE.quality)
    return shot.attributes


def _write_pa100k(root: Path, seed: int, sizes: dict[str, int], draw: Crew) -> None:
    images, annotation = folders(root, 'release_data/release_data', 'annotation')
    numbers = list(range(1, sum(sizes.values()) + 1))
    labels = np.stack(draw('attribute', numbers, partial(_attribute_job, images, seed)))
    content = {'attributes': cells(ATTRIBUTES)}
    start = 0
    for split, size in sizes.items():
        part = slice(start, start + size)
        content[f'{split}_images_name'] = cells([f'{n:06d}.jpg' for n in numbers[part]])
        content[f'{split}_label'] = labels[part]
        start += size
    save_mat(annotation / 'annotation.mat', content)


# MPII


def _pose_job(folder: Path, seed: int, number: int) -> tuple[dict, np.ndarray]:
    rng = np.random.default_rng((seed, POSE_SHOT, number))
    person = sample_person(rng)
    fill = rng.uniform(0.5, 0.85)
    foot = (rng.uniform(0.3, 0.7), rng.uniform(0.5 + 0.5 * fill, 0.98))
    pose = sample_pose(rng, person, ATHLETE)
    shot = take(rng, person, pose, POSE, (320, 256), fill, foot, occluded=0.25)
    name = f'{number:09d}.jpg'
    save_image(folder / name, shot.image, POSE.quality)
    x0, y0, x1, y1 = shot.box
    size = max(x1 - x0, y1 - y0)
    joints = np.where(shot.visible[:, None], shot.joints + 1, -1.0)
    # MPII counts pixels from 1, and its centre is above the middle of the person: readers move it
    # down by 15 / 200 of the scale.
    annotation = dict(
        image=name,
        center=[float((x0 + x1) / 2 + 1), float((y0 + y1) / 2 - 0.075 * size + 1)],
        scale=float(size / MPII_UNIT),
        joints=joints.round(2).tolist(),
        joints_vis=shot.visible.astype(int).tolist(),
    )
    return annotation, shot.head.reshape(2, 2) + 1


def _write_mpii(root: Path, seed: int, sizes: dict[str, int], draw: Crew) -> None:
    images, annotations = folders(root, 'images', 'annotations')
    start = 1
    for split, size in sizes.items():
        numbers = list(range(start, start + size))
        people = draw(f'pose {split}', numbers, partial(_pose_job, images, seed))
        (annotations / f'mpii_{split}.json').write_text(json.dumps([p[0] for p in people]))
        start += size
    # What PCKh is relative to, and what mmpose reads, for the validation set.
    joints = np.stack([np.array(p[0]['joints']) for p in people], axis=2)
    missing = 1 - np.stack([np.array(p[0]['joints_vis']) for p in people], axis=1)
    boxes = np.stack([p[1] for p in people], axis=2)
    content = dict(
        headboxes_src=boxes,
        pos_gt_src=joints,
        jnt_missing=missing,
        dataset_joints=cells(JOINTS).T,
    )
    save_mat(annotations / 'mpii_gt_val.mat', content)


# LIP


def _parsing_job(root: Path, seed: int, job: tuple[str, int]) -> None:
    split, number = job
    rng = np.random.default_rng((seed, PARSING_SHOT, number))
    person = sample_person(rng)
    height = int(rng.integers(200, 300))
    width = int(height * rng.uniform(0.55, 0.85))
    fill = rng.uniform(0.75, 0.9)
    foot = (rng.uniform(0.4, 0.6), rng.uniform(0.93, 1.0))
    pose = sample_pose(rng, person, ATHLETE)
    shot = take(rng, person, pose, PARSING, (width, height), fill, foot)
    save_image(root / f'{split}_images' / f'{number:06d}.jpg', shot.image, PARSING.quality)
    save_image(root / f'{split}_segmentations' / f'{number:06d}.png', shot.parts)


def _write_lip(root: Path, seed: int, sizes: dict[str, int], draw: Crew) -> None:
    start = 1
    for split, size in sizes.items():
        folders(root, f'{split}_images', f'{split}_segmentations')
        jobs = [(split, number) for number in range(start, start + size)]
        draw(f'parsing {split}', jobs, partial(_parsing_job, root, seed))
        names = ''.join(f'{number:06d}\n' for _, number in jobs)
        (root / f'{split}_id.txt').write_text(names)
        start += size
    (root / 'labels.txt').write_text(''.join(f'{i} {name}\n' for i, name in enumerate(PARTS)))
