"""The drawn pedestrians: same seed, same bytes; real formats; labels that the pictures bear out."""

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
from mmengine.registry import DefaultScope

from mmgradsplit.datasets import PA100K, Market1501
from mmgradsplit.synthetic.pedestrians import ATTRIBUTES, JOINTS, PARTS, make_pedestrians
from mmgradsplit.synthetic.pedestrians.canvas import Ellipsoid, View
from mmgradsplit.synthetic.pedestrians.person import sample_person
from mmgradsplit.synthetic.pedestrians.scene import ATTRIBUTE, PARSING
from mmgradsplit.synthetic.pedestrians.shot import Shot, take
from mmgradsplit.synthetic.pedestrians.skeleton import ATHLETE, body_of, place, sample_pose

SIZES = dict(
    attribute_train=7,
    attribute_val=3,
    attribute_test=4,
    reid_train_ids=4,
    reid_test_ids=3,
    images_per_id=12,
    distractors=2,
    pose_train=6,
    pose_val=5,
    parsing_train=4,
    parsing_val=3,
)
LIMBS = [name for name in JOINTS if name not in ('head_top', 'upper_neck')]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pedestrians(tmp_path_factory.mktemp('made') / 'peds', **SIZES, workers=1)


def shots(number: int, style=PARSING, carrier: str | None = None, **options) -> list:
    """People who fill most of a picture, in all kinds of pose."""
    taken, seed = [], 0
    while len(taken) < number:
        rng = np.random.default_rng((99, seed))
        seed += 1
        person = sample_person(rng)
        if carrier is not None and person.carries != carrier:
            continue
        pose = sample_pose(rng, person, ATHLETE)
        place_at = dict(fill=0.7, foot=(0.5, 0.92)) | options
        taken.append((person, take(rng, person, pose, style, (240, 240), **place_at)))
    return taken


def pixels(shot: Shot, name: str) -> int:
    return int((shot.parts == PARTS.index(name)).sum())


def has(shot: Shot, attribute: str) -> bool:
    return bool(shot.attributes[ATTRIBUTES.index(attribute)])


# ---------------------------------------------------------------------------- the folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_same_seed_same_bytes_whatever_the_workers(root: Path, tmp_path: Path):
    again = make_pedestrians(tmp_path / 'again', **SIZES, workers=2)
    assert contents(again) == contents(root)


def test_another_seed_draws_other_people(root: Path, tmp_path: Path):
    other = make_pedestrians(tmp_path / 'other', seed=1, **SIZES, workers=1)
    a, b = contents(root), contents(other)
    assert a.keys() == b.keys()
    assert not [name for name in a if name.endswith('.jpg') and a[name] == b[name]]


def test_finished_folder_is_left_alone_and_never_overwritten(root: Path, tmp_path: Path):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert make_pedestrians(root, **SIZES, workers=1) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before
    with pytest.raises(FileExistsError, match=r'another pose_val'):
        make_pedestrians(root, **(SIZES | dict(pose_val=6)), workers=1)
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='no data set made here'):
        make_pedestrians(tmp_path, **SIZES, workers=1)
    assert contents(tmp_path) == {'mine.txt': b'precious'}


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [(dict(pose_val=0), 'pose_val=0'), (dict(images_per_id=11), 'images_per_id=11.*at least 12')],
)
def test_sizes_that_make_no_data_set_are_refused(tmp_path: Path, sizes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        make_pedestrians(tmp_path / 'out', **(SIZES | sizes))
    assert not (tmp_path / 'out').exists()


def test_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The command hands on each argument: the folder made by the function is recognised."""
    sizes = [f'--{name.replace("_", "-")}={size}' for name, size in SIZES.items()]
    script = str(REPOSITORY / 'tools/dataset_converters/pedestrians.py')
    monkeypatch.setattr(sys, 'argv', [script, f'--out={root}', '--seed=0', *sizes])
    runpy.run_path(script, run_name='__main__')
    assert f'{root}, drawn before' in capsys.readouterr().out


# ---------------------------------------------------------------------------- the formats


def test_pa100k_reads_it(root: Path):
    seen: set[str] = set()
    for split in ('train', 'val', 'test'):
        dataset = PA100K(data_root=str(root / 'pa100k'), split=split)
        assert len(dataset) == SIZES[f'attribute_{split}']
        paths = {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
        assert all(cv2.imread(path) is not None for path in paths)
        assert not paths & seen
        seen |= paths
    content = scipy.io.loadmat(root / 'pa100k/annotation/annotation.mat')
    assert content['attributes'].shape == (26, 1)
    assert tuple(str(cell[0][0]) for cell in content['attributes']) == ATTRIBUTES
    assert PA100K.METAINFO['classes'] == ATTRIBUTES


def test_market1501_reads_it(root: Path):
    train = Market1501(data_root=str(root / 'market1501'), split='train')
    test = Market1501(data_root=str(root / 'market1501'), split='test')
    assert len(train) == SIZES['reid_train_ids'] * SIZES['images_per_id']
    infos = [test.get_data_info(i) for i in range(len(test))]
    train_ids, test_ids = set(train.get_person_ids()), {info['person_id'] for info in infos}
    assert len(train_ids) == SIZES['reid_train_ids']
    assert {-1, 0} < test_ids
    assert len(test_ids - {-1, 0}) == SIZES['reid_test_ids']
    assert not train_ids & test_ids
    queries = [(info['person_id'], info['camera_id']) for info in infos if info['is_query']]
    assert sorted(queries) == [(i, c) for i in sorted(test_ids - {-1, 0}) for c in range(1, 7)]
    for person, camera in queries:  # the protocol needs the same identity in another camera
        assert any(
            info['person_id'] == person and info['camera_id'] != camera
            for info in infos
            if not info['is_query']
        )
    for path in (root / 'market1501').rglob('*.jpg'):
        assert re.fullmatch(r'(-1|\d{4,})_c[1-6]s\d_\d{6,}_\d{2}\.jpg', path.name)
        assert cv2.imread(str(path)).shape == (128, 64, 3)


def test_mmpose_reads_it_and_scores_the_truth_as_perfect(root: Path):
    from mmpose.datasets import MpiiDataset
    from mmpose.evaluation.metrics import MpiiPCKAccuracy

    common = dict(data_root=str(root / 'mpii'), data_prefix=dict(img='images/'))
    headbox = str(root / 'mpii/annotations/mpii_gt_val.mat')
    pipeline: list[dict] = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    pipeline += [dict(type='TopdownAffine', input_size=(128, 128)), dict(type='PackPoseInputs')]
    with DefaultScope.overwrite_default_scope('mmpose'):
        train = MpiiDataset(ann_file='annotations/mpii_train.json', pipeline=pipeline, **common)
        val = MpiiDataset(
            ann_file='annotations/mpii_val.json',
            pipeline=pipeline,
            headbox_file=headbox,
            test_mode=True,
            **common,
        )
        samples = [val[i] for i in range(len(val))]
    assert (len(train), len(val)) == (SIZES['pose_train'], SIZES['pose_val'])
    assert train.metainfo['keypoint_id2name'] == dict(enumerate(JOINTS))
    assert samples[0]['inputs'].shape == (3, 128, 128)
    metric = MpiiPCKAccuracy(thr=0.05)
    for sample in samples:
        truth = sample['data_samples'].gt_instances
        size = np.array(sample['data_samples'].input_size)
        inside = truth.keypoints_visible[0] > 0
        # The crop that mmpose makes of centre and scale holds all that is annotated.
        low = sample['data_samples'].input_center - sample['data_samples'].input_scale / 2
        high = low + sample['data_samples'].input_scale
        at = truth.keypoints[0][inside] - 1
        assert size.tolist() == [128, 128]
        assert ((low <= at) & (at <= high)).all()
        sample['data_samples'].pred_instances = type(truth)(keypoints=truth.keypoints - 1)
        metric.process([], [sample['data_samples'].to_dict()])
    assert metric.evaluate(len(samples))['PCK'] == pytest.approx(100)


def test_mpii_annotations_agree(root: Path):
    annotations = json.loads((root / 'mpii/annotations/mpii_val.json').read_text())
    content = scipy.io.loadmat(root / 'mpii/annotations/mpii_gt_val.mat')
    for i, annotation in enumerate(annotations):
        joints, visible = np.array(annotation['joints']), np.array(annotation['joints_vis'])
        height, width = cv2.imread(str(root / 'mpii/images' / annotation['image'])).shape[:2]
        shown = joints[visible == 1]
        assert joints.shape == (16, 2)
        assert ((shown >= 0.5) & (shown <= [width + 0.5, height + 0.5])).all()  # from 1 on
        assert (joints[visible == 0] == -1).all()
        np.testing.assert_array_equal(content['pos_gt_src'][..., i], joints)
        np.testing.assert_array_equal(content['jnt_missing'][:, i], 1 - visible)
        neck, top = joints[JOINTS.index('upper_neck')], joints[JOINTS.index('head_top')]
        if visible[[JOINTS.index('upper_neck'), JOINTS.index('head_top')]].all():
            (x0, y0), (x1, y1) = content['headboxes_src'][..., i]
            centre = (neck + top) / 2
            assert x0 < centre[0] < x1
            assert y0 < centre[1] < y1


def test_mmseg_reads_it(root: Path):
    from mmseg.datasets import LIPDataset

    assert LIPDataset.METAINFO['classes'] == PARTS
    names: list[set[str]] = []
    for split in ('train', 'val'):
        with DefaultScope.overwrite_default_scope('mmseg'):
            dataset = LIPDataset(
                data_root=str(root / 'lip'),
                data_prefix=dict(img_path=f'{split}_images', seg_map_path=f'{split}_segmentations'),
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
            )
            samples = [dataset[i] for i in range(len(dataset))]
        assert len(samples) == SIZES[f'parsing_{split}']
        for sample in samples:
            assert sample['gt_seg_map'].shape == sample['img'].shape[:2]
            assert sample['gt_seg_map'].max() < len(PARTS)
            assert len(np.unique(sample['gt_seg_map'])) > 4
        names.append({Path(sample['img_path']).stem for sample in samples})
        assert names[-1] == set((root / 'lip' / f'{split}_id.txt').read_text().split())
    assert not names[0] & names[1]


def test_identities_show_across_cameras(root: Path):
    """The clothes' colours alone find the same person in another camera far above chance."""
    seen = []
    for path in sorted((root / 'market1501/bounding_box_train').iterdir()):
        identity, camera = re.match(r'(\d+)_c(\d)', path.name).groups()  # type: ignore[union-attr]
        # Brightness differs between the cameras; the middle column has little background.
        image = cv2.imread(str(path))[25:100, 20:44]
        hue = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        bands = np.array_split(hue, 4)
        parts = [cv2.calcHist([b], [0, 1], None, [12, 4], [0, 180, 0, 256]).ravel() for b in bands]
        histogram = np.concatenate([part / part.sum() for part in parts])
        seen.append((identity, camera, histogram))
    hits = []
    for identity, camera, histogram in seen:
        others = [s for s in seen if s[1] != camera]
        nearest = min(others, key=lambda s: np.abs(s[2] - histogram).sum())
        hits.append(nearest[0] == identity)
    assert np.mean(hits) > 2 / SIZES['reid_train_ids']


# ---------------------------------------------------------------------------- the labels


def test_limb_joints_lie_on_the_person():
    for _, shot in shots(30, carrier='none'):
        for name in LIMBS:
            joint = JOINTS.index(name)
            x, y = np.rint(shot.joints[joint]).astype(int)
            if not (0 <= x < 240 and 0 <= y < 240):
                assert not shot.visible[joint]
                continue
            assert shot.visible[joint], name
            assert shot.parts[y, x] > 0, name


def test_what_is_outside_or_behind_something_is_not_visible():
    for _, shot in shots(5, foot=(0.5, 1.3)):
        below = shot.joints[:, 1] > 240
        assert below.any()
        assert not shot.visible[below].any()
    hidden = [(~shot.visible).sum() for _, shot in shots(15, occluded=1.0)]
    assert np.mean(np.array(hidden) > 0) > 0.5


def test_left_and_right_agree_between_joints_and_parts():
    pairs = 0
    for _, shot in shots(30, carrier='none'):
        centres = {}
        for side in ('left', 'right'):
            rows, columns = np.nonzero(shot.parts == PARTS.index(f'{side.capitalize()}-shoe'))
            if len(rows) > 25:
                centres[side] = np.array([columns.mean(), rows.mean()])
        ankles = {side: shot.joints[JOINTS.index(f'{side}_ankle')] for side in centres}
        if len(centres) < 2 or np.linalg.norm(ankles['left'] - ankles['right']) < 12:
            continue
        pairs += 1
        for side, other in (('left', 'right'), ('right', 'left')):
            own = np.linalg.norm(centres[side] - ankles[side])
            assert own < np.linalg.norm(centres[side] - ankles[other])
    assert pairs > 8


def test_one_attribute_of_each_kind():
    for _, shot in shots(40, ATTRIBUTE):
        for group in (
            ('AgeOver60', 'Age18-60', 'AgeLess18'),
            ('Front', 'Side', 'Back'),
            ('ShortSleeve', 'LongSleeve'),
        ):
            assert sum(has(shot, name) for name in group) == 1
        assert sum(has(shot, name) for name in ('Trousers', 'Shorts', 'Skirt&Dress')) <= 1


@pytest.mark.parametrize(
    ('attribute', 'parts'),
    [
        ('Hat', ('Hat',)),
        ('Glasses', ('Sunglasses',)),
        ('Skirt&Dress', ('Skirt', 'Dress')),
        ('LongCoat', ('Coat',)),
        ('Shorts', ('Pants',)),
        ('Trousers', ('Pants', 'Jumpsuits')),
        ('boots', ('Left-shoe', 'Right-shoe')),
    ],
)
def test_attribute_is_seen_in_the_parts(attribute: str, parts: tuple[str, ...]):
    taken = [shot for _, shot in shots(60, ATTRIBUTE)]
    positive = [shot for shot in taken if has(shot, attribute)]
    assert 3 <= len(positive) < 57
    for shot in positive:
        assert sum(pixels(shot, name) for name in parts) > 2


@pytest.mark.parametrize(
    ('attribute', 'part', 'most'), [('Hat', 'Hat', 15), ('Glasses', 'Sunglasses', 22)]
)
def test_without_the_attribute_no_part_to_speak_of(attribute: str, part: str, most: int):
    for _, shot in shots(60, ATTRIBUTE):
        if not has(shot, attribute):
            assert pixels(shot, part) <= most


def test_faces_are_seen_from_the_front():
    share: dict[str, list[float]] = dict(Front=[], Side=[], Back=[])
    for _, shot in shots(60, ATTRIBUTE):
        (view,) = (name for name in share if has(shot, name))
        hair = pixels(shot, 'Hair') + pixels(shot, 'Hat')
        assert not (view == 'Back' and pixels(shot, 'Face') == 0 and has(shot, 'Glasses'))
        share[view].append(pixels(shot, 'Face') / (pixels(shot, 'Face') + hair + 1))
    assert np.mean(share['Front']) > np.mean(share['Side']) > np.mean(share['Back'])


# ---------------------------------------------------------------------------- the geometry


def test_bones_keep_their_lengths_and_feet_stand_on_the_ground():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        person = sample_person(rng)
        body = body_of(person)
        joints = place(body, sample_pose(rng, person, ATHLETE)).joints

        def length(a: str, b: str, at: dict = joints) -> float:
            return float(np.linalg.norm(at[a] - at[b]))

        for side in ('left', 'right'):
            assert length(f'{side}_shoulder', f'{side}_elbow') == pytest.approx(body.upper_arm)
            assert length(f'{side}_elbow', f'{side}_wrist') == pytest.approx(body.forearm)
            assert length(f'{side}_hip', f'{side}_knee') == pytest.approx(body.thigh)
            assert length(f'{side}_knee', f'{side}_ankle') == pytest.approx(body.shin)
        feet = [joints[f'{s}_{end}'][1] for s in ('left', 'right') for end in ('heel', 'toe')]
        assert 0 < min(feet) < 0.03


def shoelace(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


@pytest.mark.parametrize(
    ('direction', 'angle', 'area'),
    [
        ((0, 0, 1), 40, lambda a: np.pi * np.sin(a) ** 2),  # a disc of radius sin(a)
        ((1, 0, 0), 60, lambda a: a - np.sin(a) * np.cos(a)),  # a segment of the unit disc
        # Turned away by 0.02, to first order that much of half the rim's disc is lost.
        ((1, 0, -0.02), 60, lambda a: a - np.sin(a) * np.cos(a) - 0.01 * np.pi * np.sin(a) ** 2),
    ],
)
def test_cap_of_a_sphere(direction: tuple, angle: float, area: Callable[[float], float]):
    view = View(yaw=0, pitch=0, scale=100, foot=(0, 0), distance=1e9)
    sphere = Ellipsoid(view, np.zeros(3), np.eye(3), np.ones(3))
    polygon = sphere.cap(direction, angle)
    assert polygon is not None
    assert shoelace(polygon) / 1e4 == pytest.approx(area(np.radians(angle)), rel=0.015)
    assert shoelace(sphere.outline()) / 1e4 == pytest.approx(np.pi, rel=0.01)
    assert sphere.cap((0, 0, -1), 50) is None
