"""The drawn rooms: same seed, same bytes; depth, normals and labels that agree with one another."""

import json
import runpy
import sys
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmgradsplit.synthetic.scenes import CLASSES, make_scenes
from mmgradsplit.synthetic.scenes.layout import draw_room
from mmgradsplit.synthetic.scenes.render import Shot, take
from mmgradsplit.synthetic.scenes.solids import BOX, CYLINDER, SPHERE, Solid, trace, turn_y

SIZES = dict(train=24, val=6)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp('made') / 'scenes', **SIZES)


@pytest.fixture(scope='module')
def shots() -> list[Shot]:
    return [take(np.random.default_rng((5, i)), 160, 120) for i in range(16)]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def names(root: Path, split: str) -> list[str]:
    return (root / 'gt_sets' / f'{split}.txt').read_text().split()


def label(name: str) -> int:
    return CLASSES.index(name) + 1


def points(shot: Shot) -> np.ndarray:
    """Where the pixels are in the camera's frame, by the pinhole's equations, [h, w, 3]."""
    height, width = shot.depth.shape
    rows, columns = np.mgrid[:height, :width]
    depth = shot.depth.astype(np.float64)
    x = depth * (columns - (width - 1) / 2) / shot.camera.focal
    y = -depth * (rows - (height - 1) / 2) / shot.camera.focal
    return np.stack([x, y, -depth], axis=-1)


# ---------------------------------------------------------------------------- the folder


def test_files_are_those_of_the_contract(root: Path):
    every = names(root, 'train') + names(root, 'val')
    assert every == [f'{i:05d}' for i in range(30)]
    assert len(names(root, 'train')) == SIZES['train']
    for kind, suffix in dict(images='jpg', segmentation='png', depth='npy', normals='npy').items():
        assert sorted(p.name for p in (root / kind).iterdir()) == [f'{n}.{suffix}' for n in every]
    for name in every:
        assert cv2.imread(str(root / 'images' / f'{name}.jpg')).shape == (120, 160, 3)
        labels = cv2.imread(str(root / 'segmentation' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        depth = np.load(root / 'depth' / f'{name}.npy')
        normals = np.load(root / 'normals' / f'{name}.npy')
        assert (labels.shape, labels.dtype) == ((120, 160), np.uint8)
        assert (depth.shape, depth.dtype) == ((120, 160), np.float32)
        assert (normals.shape, normals.dtype) == ((120, 160, 3), np.float32)
        assert labels.max() <= 13
        assert 0.2 < np.nanmin(depth) <= np.nanmax(depth) < 9
    assert json.loads((root / 'dataset.json').read_text())['classes'] == list(CLASSES)


def test_every_class_occurs_and_none_is_everywhere(root: Path):
    labels = [cv2.imread(str(path), 0) for path in (root / 'segmentation').iterdir()]
    share = np.bincount(np.stack(labels).ravel(), minlength=14) / np.size(labels)
    assert (share[1:] > 0.001).all(), dict(zip(CLASSES, share[1:], strict=True))
    assert share.max() < 0.6


def test_holes_and_unlabelled_pixels_are_a_minority(root: Path, shots: list[Shot]):
    unlabelled = [(cv2.imread(str(p), 0) == 0).mean() for p in (root / 'segmentation').iterdir()]
    holes = [np.isnan(np.load(path)).mean() for path in (root / 'depth').iterdir()]
    for share in (unlabelled, holes):
        assert 0.005 < np.mean(share) < 0.1
        assert max(share) < 0.5
    labels = np.stack([shot.segmentation for shot in shots])
    missed = np.isnan([shot.depth for shot in shots])
    glass = np.isin(labels, [label('window'), label('tv')])
    assert missed[glass].mean() > 5 * missed[~glass].mean()


def test_same_seed_same_bytes_another_seed_other_rooms(root: Path, tmp_path: Path):
    drawn = contents(root)
    # Of another number of pictures: the i-th of each split is the same all the same.
    fewer = make_scenes(tmp_path / 'fewer', train=2, val=2)
    for split in ('train', 'val'):
        for ours, theirs in zip(names(fewer, split), names(root, split), strict=False):
            for kind in ('images/{}.jpg', 'segmentation/{}.png', 'depth/{}.npy', 'normals/{}.npy'):
                assert (fewer / kind.format(ours)).read_bytes() == drawn[kind.format(theirs)]
    other = contents(make_scenes(tmp_path / 'other', train=2, val=2, seed=1))
    assert not [n for n, c in other.items() if n.endswith(('.jpg', '.npy')) and c == drawn[n]]


def test_training_and_validation_share_no_picture(root: Path):
    pictures = {split: [] for split in SIZES}
    for split, seen in pictures.items():
        seen += [(root / 'images' / f'{name}.jpg').read_bytes() for name in names(root, split)]
    assert not set(pictures['train']) & set(pictures['val'])
    assert len(set(pictures['train'] + pictures['val'])) == 30


def test_finished_folder_is_left_alone_and_never_overwritten(root: Path):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    assert make_scenes(root, **SIZES) == root
    with pytest.raises(FileExistsError, match='another val, width'):
        make_scenes(root, train=24, val=7, width=64)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before


@pytest.mark.parametrize('wrong', [dict(val=0), dict(width=31), dict(seed=-1)])
def test_sizes_that_make_no_data_set_are_refused(tmp_path: Path, wrong: dict):
    ((name, number),) = wrong.items()
    with pytest.raises(ValueError, match=f'scenes: {name}={number} must be at least'):
        make_scenes(tmp_path / 'out', **wrong)
    assert not (tmp_path / 'out').exists()


def test_command(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The command hands on each argument: the folder made by the function is recognised."""
    script = str(REPOSITORY / 'tools/dataset_converters/scenes.py')
    monkeypatch.setattr(sys, 'argv', [script, f'--out={root}', '--train=24', '--val=6'])
    runpy.run_path(script, run_name='__main__')
    assert f'{root}, drawn before' in capsys.readouterr().out


# ---------------------------------------------------------------------------- the annotations


def test_normals_are_those_of_the_depth(shots: list[Shot]):
    """By finite differences of the points; on a plane the inverse depth is linear in the pixel."""
    angles = []
    for shot in shots:
        at, inverse = points(shot), 1 / shot.depth.astype(np.float64)
        right, up = at[1:-1, 2:] - at[1:-1, :-2], at[:-2, 1:-1] - at[2:, 1:-1]
        ours = np.cross(right, up)
        ours /= np.linalg.norm(ours, axis=-1, keepdims=True)
        middle = inverse[1:-1, 1:-1]
        bends = [inverse[1:-1, 2:] + inverse[1:-1, :-2], inverse[2:, 1:-1] + inverse[:-2, 1:-1]]
        smooth = np.all([np.abs(bend / 2 - middle) < 2e-6 * middle for bend in bends], axis=0)
        cosine = (ours * shot.normals[1:-1, 1:-1]).sum(-1)[smooth]
        angles.append(np.degrees(np.arccos(cosine.clip(-1, 1))))
        assert smooth.mean() > 0.3
    assert np.quantile(np.concatenate(angles), 0.999) < 0.5


def test_normals_are_unit_vectors_towards_the_camera_where_there_is_depth(shots: list[Shot]):
    for shot in shots:
        there = ~np.isnan(shot.depth)
        normals, at = shot.normals[there], points(shot)[there]
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
        assert (shot.normals[~there] == 0).all()
        assert ((normals * -at).sum(-1) > -1e-5).all()


def test_floor_faces_up_and_ceiling_down(shots: list[Shot]):
    for name, sign in (('floor', 1), ('ceiling', -1)):
        cosines = []
        for shot in shots:
            shown = (shot.segmentation == label(name)) & ~np.isnan(shot.depth)
            cosines.append(sign * shot.normals[shown][:, 1])  # the camera is nearly level
        cosines = np.concatenate(cosines)
        assert len(cosines) > 1000
        assert np.quantile(cosines, 0.02) > 0.7


def test_points_of_floor_and_ceiling_lie_on_two_planes(shots: list[Shot]):
    for shot in shots:
        world = points(shot) @ shot.camera.turn.T + shot.camera.position
        heights = {
            name: world[..., 1][(shot.segmentation == label(name)) & ~np.isnan(shot.depth)]
            for name in ('floor', 'ceiling')
        }
        if len(heights['floor']):  # a rug lies 12 mm high
            assert -1e-4 < heights['floor'].min() <= heights['floor'].max() < 0.0121
        if len(heights['ceiling']):
            assert np.ptp(heights['ceiling']) < 1e-4
            assert heights['ceiling'].mean() >= np.nanmax(world[..., 1]) - 1e-4
        assert np.nanmin(world[..., 1]) > -1e-4


def test_colour_alone_does_not_tell_the_class(root: Path):
    """A table from colour to class is little better than guessing, class by class."""
    seen = {}
    for split in SIZES:
        pixels = [cv2.imread(str(root / 'images' / f'{n}.jpg')) for n in names(root, split)]
        labels = [
            cv2.imread(str(root / 'segmentation' / f'{n}.png'), 0) for n in names(root, split)
        ]
        bins = (np.stack(pixels).astype(int) // 32 @ [64, 8, 1]).ravel()
        seen[split] = bins, np.stack(labels).ravel()
    counts = np.zeros((512, 14))
    np.add.at(counts, seen['train'], 1)
    frequency = counts[:, 1:] / counts[:, 1:].sum(0)
    bins, labels = seen['val']
    guess = frequency[bins].argmax(1) + 1
    accuracy = [np.mean(guess[labels == k] == k) for k in np.unique(labels[labels > 0])]
    assert np.mean(accuracy) < 0.35


# ---------------------------------------------------------------------------- the geometry


def solid(shape: str, rng: np.random.Generator) -> Solid:
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    return Solid(shape, rng.uniform(-1, 1, 3), rng.uniform(0.2, 1, 3), 1, lambda p, n: p, turn=turn)


def is_inside(of: Solid, at: np.ndarray) -> np.ndarray:
    x, y, z = (np.linalg.inv(of.turn) @ (at - of.centre).T) / of.half[:, None]
    return {
        BOX: (abs(x) < 1) & (abs(y) < 1) & (abs(z) < 1),
        CYLINDER: (x * x + z * z < 1) & (abs(y) < 1),
        SPHERE: x * x + y * y + z * z < 1,
    }[of.shape]


@pytest.mark.parametrize('shape', [BOX, CYLINDER, SPHERE])
def test_rays_enter_where_the_inside_begins(shape: str):
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 2, 4001)
    hits = 0
    for _ in range(60):
        of = solid(shape, rng)
        origin = 3 * rng.standard_normal(3)
        ray = of.centre + 0.5 * rng.standard_normal(3) - origin
        if is_inside(of, origin[None])[0]:
            continue
        inside = is_inside(of, origin + steps[:, None] * ray)
        t = of.enter(origin[None], ray[None])[0]
        if not inside.any():
            assert t == np.inf or not is_inside(of, (origin + (t + 1e-3) * ray)[None])[0]
            continue
        hits += 1
        assert t == pytest.approx(steps[inside.argmax()], abs=steps[1])
        own, normal = of.surface((origin + t * ray)[None])
        # One step along the normal is outside, one step against it inside.
        out = of.turn @ normal[0]
        at = of.centre + of.turn @ own[0]
        assert np.linalg.norm(out) == pytest.approx(1)
        assert out @ ray < 0
        assert is_inside(of, np.stack([at - 1e-4 * out, at + 1e-4 * out])).tolist() == [True, False]
    assert hits > 20


def test_trace_finds_the_nearest_of_all_solids():
    rng = np.random.default_rng(1)
    for seed in range(3):
        room = draw_room(np.random.default_rng((6, seed)), 160, 120)
        origins = room.size * rng.uniform(0.1, 0.9, (400, 3))
        rays = rng.standard_normal((400, 3))
        every = [s.enter(origins, rays) for thing in room.things for s in thing.solids]
        distance, index = trace(origins, rays, room.things)
        np.testing.assert_allclose(distance, np.min(every, axis=0))
        np.testing.assert_allclose(np.stack(every)[index, range(400)], distance)
        assert np.isfinite(distance).all()  # the shell has no gap


def test_things_stand_in_the_room_apart_from_one_another():
    several = 0
    for seed in range(25):
        room = draw_room(np.random.default_rng((7, seed)), 160, 120)
        things = [thing for thing in room.things[1:] if thing.rise[1] > 0.02]  # but rugs
        several += len(things) > 4
        for thing in things:
            corners = np.concatenate([s.corners() for s in thing.solids])
            assert (corners > -1e-6).all()
            assert (corners < room.size + 1e-6).all()
        for one, other in combinations(things, 2):
            shared = min(one.rise[1], other.rise[1]) - max(one.rise[0], other.rise[0])
            if shared > 2e-3:
                outlines = one.outline.astype(np.float32), other.outline.astype(np.float32)
                assert cv2.intersectConvexConvex(*outlines)[0] < 0.01
    assert several > 15


def test_turning_leads_from_z_to_x():
    np.testing.assert_allclose(turn_y(np.pi / 2) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
