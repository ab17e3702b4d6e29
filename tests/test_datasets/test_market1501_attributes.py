"""Market-1501's attributes on files in the published form, and on the drawn people."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.io
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmpretrain.structures import DataSample

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.datasets import PA100K, Market1501Attributes
from mmgradsplit.datasets.market1501_attributes import FIELDS, MAPPING, read_mapping
from mmgradsplit.evaluation import AttributeMetric
from mmgradsplit.synthetic.pedestrians import make_pedestrians
from mmgradsplit.synthetic.pedestrians.market import identity
from mmgradsplit.synthetic.pedestrians.market_attributes import COLOURS, market_attributes
from mmgradsplit.synthetic.pedestrians.person import sample_person
from mmgradsplit.synthetic.pedestrians.scene import CAMERAS
from mmgradsplit.synthetic.pedestrians.shot import crop_shot

REPOSITORY = Path(__file__).parents[2]
CLASSES = PA100K.METAINFO['classes']
# The published file's fields, in its two orders.
_TEST = (
    'age backpack bag handbag clothes down up hair hat gender upblack upwhite upred uppurple '
    'upyellow upgray upblue upgreen downblack downwhite downpink downpurple downyellow downgray '
    'downblue downgreen downbrown'
)
_TRAIN = (
    'age backpack bag handbag downblack downblue downbrown downgray downgreen downpink downpurple '
    'downwhite downyellow upblack upblue upgreen upgray uppurple upred upwhite upyellow clothes '
    'down up hair hat gender'
)
TEST_ORDER, TRAIN_ORDER = _TEST.split(), _TRAIN.split()
# Two test identities as they would be described in words; what is not said is 1.
PEOPLE = {
    # A student in a T-shirt and shorts with a backpack and a cap.
    3: dict(age=2, backpack=2, up=2, down=2, clothes=2, hat=2, gender=1),
    # An old woman in a long-sleeved dress with a handbag and another bag.
    1042: dict(age=4, bag=2, handbag=2, up=1, down=1, clothes=1, hair=2, gender=2),
}
EXPECTED = {
    3: {'Age18-60', 'Backpack', 'ShortSleeve', 'Shorts', 'Hat'},
    1042: {'AgeOver60', 'Female', 'HandBag', 'ShoulderBag', 'LongSleeve', 'Skirt&Dress'},
}
COMMON = {
    'Female', 'AgeOver60', 'Age18-60', 'AgeLess18', 'Hat', 'HandBag', 'ShoulderBag', 'Backpack',
    'ShortSleeve', 'LongSleeve', 'Trousers', 'Shorts', 'Skirt&Dress',
}  # fmt: skip
IMAGES = dict(
    query=['0003_c1s1_000001_00.jpg', '1042_c3s1_000001_00.jpg'],
    bounding_box_test=[
        '-1_c1s1_000401_03.jpg', '0000_c5s1_000151_01.jpg',
        '0003_c2s1_000001_00.jpg', '1042_c6s2_000001_00.jpg', '1042_c6s2_000002_00.jpg',
    ],
)  # fmt: skip


def struct(people: dict[int, dict[str, int]], order: list[str]) -> dict[str, np.ndarray]:
    """One split as published: fields [1 x N] of doubles, and cells with the identities' names."""
    fields = {f: np.array([[float(p.get(f, 1)) for p in people.values()]]) for f in order}
    index = np.empty((1, len(people)), dtype=object)
    index[0, :] = [f'{number:04d}' for number in people]
    return dict(fields, image_index=index)


def write(path: Path, test: dict[str, Any] | None = None) -> None:
    # The training split has other people, as many as the test split, with all values 2.
    train = struct({i: dict.fromkeys(TRAIN_ORDER, 2) for i in (2, 7)}, TRAIN_ORDER)
    test = struct(PEOPLE, TEST_ORDER) if test is None else test
    scipy.io.savemat(path, {'market_attribute': {'test': test, 'train': train}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, names in IMAGES.items():
        (tmp_path / folder).mkdir()
        for name in names:
            cv2.imwrite(str(tmp_path / folder / name), np.zeros((128, 64, 3), np.uint8))
    write(tmp_path / 'market_attribute.mat')
    return tmp_path


def names(score: np.ndarray, value: int) -> set[str]:
    return {CLASSES[i] for i in np.flatnonzero(np.asarray(score) == value)}


# ---- the reader ----


def test_each_image_has_the_attributes_of_its_person(root: Path) -> None:
    dataset = Market1501Attributes(str(root))
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    # Queries and gallery, without the junk image and the distractor.
    assert [Path(i['img_path']).name for i in infos] == [
        *IMAGES['query'],
        *IMAGES['bounding_box_test'][2:],
    ]
    for info in infos:
        assert names(info['gt_score'], 1) == EXPECTED[info['person_id']]
        assert names(info['gt_score'], 0) == COMMON - EXPECTED[info['person_id']]
        assert names(info['gt_score'], -1) == set(CLASSES) - COMMON
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.test_mode


def test_builds_from_a_config_and_packs_what_the_metric_needs(root: Path) -> None:
    dataset = ROOT_DATASETS.build(
        dict(
            _scope_='mmpretrain',
            type='mmgradsplit.Market1501Attributes',
            data_root=str(root),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        )
    )
    for item, person in zip(dataset, (3, 1042, 3, 1042, 1042), strict=True):
        assert names(item['data_samples'].gt_score, 1) == EXPECTED[person]
    assert 'market_attribute.mat' in repr(dataset)


def test_mean_accuracy_on_the_common_attributes(root: Path) -> None:
    """Against counts over people described in words, attribute by attribute."""
    rng = np.random.default_rng(0)
    people = {
        i: {f: int(rng.integers(1, max(FIELDS[f]) + 1)) for f in TEST_ORDER} for i in range(1, 41)
    }
    for path in (root / 'query').iterdir():
        path.unlink()
    for number in people:
        (root / f'query/{number:04d}_c1s1_000001_00.jpg').write_bytes(b'')
    for name in IMAGES['bounding_box_test'][2:]:
        (root / 'bounding_box_test' / name).unlink()
    write(root / 'market_attribute.mat', struct(people, TEST_ORDER))
    dataset = Market1501Attributes(str(root))
    has = {
        'Female': lambda p: p['gender'] == 2,
        'AgeOver60': lambda p: p['age'] == 4,
        'Age18-60': lambda p: p['age'] in (2, 3),
        'AgeLess18': lambda p: p['age'] == 1,
        'Hat': lambda p: p['hat'] == 2,
        'HandBag': lambda p: p['handbag'] == 2,
        'ShoulderBag': lambda p: p['bag'] == 2,
        'Backpack': lambda p: p['backpack'] == 2,
        'ShortSleeve': lambda p: p['up'] == 2,
        'LongSleeve': lambda p: p['up'] == 1,
        'Trousers': lambda p: p['clothes'] == 2 and p['down'] == 1,
        'Shorts': lambda p: p['clothes'] == 2 and p['down'] == 2,
        'Skirt&Dress': lambda p: p['clothes'] == 1,
    }
    predicted = rng.random((len(people), len(CLASSES)))
    evaluator = Evaluator(AttributeMetric())
    evaluator.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        sample = DataSample().set_gt_score(dataset.get_data_info(i)['gt_score'])
        evaluator.process([sample.set_pred_score(torch.tensor(predicted[i]))], None)
    rates = []
    for name, rule in has.items():
        hits: dict[bool, list[bool]] = {True: [], False: []}
        for row, person in zip(predicted, people.values(), strict=True):
            hits[rule(person)].append((row[CLASSES.index(name)] >= 0.5) == rule(person))
        rates.append((np.mean(hits[True]) + np.mean(hits[False])) / 2)
    assert len(rates) == 13
    assert evaluator.evaluate(len(people))['MA'] == pytest.approx(100 * np.mean(rates))


# ---- the mapping ----


def test_the_mapping_names_what_both_sides_have() -> None:
    assert set(TEST_ORDER) == set(TRAIN_ORDER) == set(FIELDS)
    assert len(FIELDS) == 27
    assert set(read_mapping(MAPPING, CLASSES)) == COMMON
    for entry in json.loads(MAPPING.read_text())['attributes'].values():
        assert entry['why']


WRONG = {
    '{': 'is not JSON of the form',
    '{"attributes": {"Hat": {}}}': 'is not JSON of the form',
    '{"attributes": {"Beret": {"market1501": {"hat": [2]}}}}': "has the attribute 'Beret', which",
    '{"attributes": {"Hat": {"market1501": {"cap": [2]}}}}': r'asks for cap in \[2\], which',
    '{"attributes": {"Hat": {"market1501": {"hat": [3]}}}}': r'asks for hat in \[3\], which',
}


@pytest.mark.parametrize(('content', 'message'), WRONG.items())
def test_a_wrong_mapping_is_named(root: Path, content: str, message: str) -> None:
    (root / 'mine.json').write_text(content)
    with pytest.raises(ValueError, match=rf'mine\.json {message}'):
        Market1501Attributes(str(root), mapping=root / 'mine.json')


def test_other_attributes_by_metainfo_and_mapping(root: Path) -> None:
    entries = {'bag': {'market1501': {'bag': [2]}}, 'hat': {'market1501': {'hat': [2]}}}
    (root / 'mine.json').write_text(json.dumps(dict(attributes=entries)))
    dataset = Market1501Attributes(
        str(root), mapping=root / 'mine.json', metainfo=dict(classes=('hat', 'bag', 'skirt'))
    )
    assert dataset.get_data_info(0)['gt_score'].tolist() == [1, 0, -1]
    assert dataset.get_data_info(1)['gt_score'].tolist() == [0, 1, -1]


# ---- wrong files ----


def test_missing_files_are_named(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'no mapping .*none\.json'):
        Market1501Attributes(str(root), mapping=root / 'none.json')
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*other\.mat.*ann_file'):
        Market1501Attributes(str(root), ann_file='other.mat')


def changed(**fields: Any) -> dict[str, Any]:
    content = struct(PEOPLE, TEST_ORDER) | fields
    return {name: value for name, value in content.items() if value is not None}


@pytest.mark.parametrize(('test', 'message'), [
    (changed(hat=None), r'no market_attribute\.test with the fields.*hat'),
    (changed(image_index=None), r'no market_attribute\.test with the fields image_index'),
    (changed(hat=np.array([[0.0, 1.0]])), r'test\.hat in .* is not one of \[1, 2\]'),
    (changed(age=np.array([[5.0, 1.0]])), r'test\.age in .* is not one of \[1, 2, 3, 4\]'),
    (changed(bag=np.array([[1.0]])), r'test\.bag in .* each of the 2 identities'),
    (struct({3: PEOPLE[3]}, TEST_ORDER), r'does not have the identity 1042 of .*1042_c3s1'),
])  # fmt: skip
def test_wrong_annotation(root: Path, test: dict, message: str) -> None:
    write(root / 'market_attribute.mat', test)
    with pytest.raises(ValueError, match=message):
        Market1501Attributes(str(root))


def test_a_file_that_is_another_or_broken(root: Path) -> None:
    path = root / 'market_attribute.mat'
    whole = path.read_bytes()
    scipy.io.savemat(path, dict(duke_attribute=np.zeros(3)))
    with pytest.raises(ValueError, match=r"is it Market-1501's"):
        Market1501Attributes(str(root))
    path.write_bytes(whole[:200])
    with pytest.raises(ValueError, match=r'market_attribute\.mat (is not a readable|has no)'):
        Market1501Attributes(str(root))


# ---- the configs ----


def test_configs_of_table_6_test_the_attribute_task_alone_on_market1501(root: Path) -> None:
    configs = sorted((REPOSITORY / 'configs/cross_dataset').glob('*.py'))
    assert len(configs) >= 4
    for path in configs:
        cfg = prepare(path)
        assert list(cfg.model.tasks) == list(cfg.test_dataloader) == ['attribute']
        assert cfg.val_dataloader.attribute.dataset.type == 'mmgradsplit.PA100K'
        dataset_cfg = cfg.test_dataloader.attribute.dataset
        assert dataset_cfg.data_root.endswith('market1501')
        dataset = ROOT_DATASETS.build(dict(dataset_cfg, data_root=str(root)))
        demos = dict(demo_long=(128, 64), demo=(96, 48))
        height, width = next((demos[d] for d in demos if d in path.name), (256, 128))
        item = dataset[0]
        assert item['inputs'].shape == (3, height, width)
        assert names(item['data_samples'].gt_score, 1) == EXPECTED[3]
        # delta_m against the paper's single-task network; its data are not the demo's.
        references = {} if 'demo' in path.name else {'attribute/MA': 73.0}
        assert dict(cfg.test_cfg.get('references') or {}) == references


# ---- the drawn people ----


def test_the_drawn_data_set_is_annotated(tmp_path: Path) -> None:
    """In the published form; every image's attributes are those of the person drawn on it."""
    sizes = dict.fromkeys(
        ('attribute_train', 'attribute_val', 'attribute_test', 'pose_train', 'pose_val',
         'parsing_train', 'parsing_val'), 1
    )  # fmt: skip
    made = make_pedestrians(
        tmp_path / 'made', seed=3, reid_train_ids=2, reid_test_ids=3, images_per_id=12,
        distractors=1, workers=1, **sizes,
    )  # fmt: skip
    root = made / 'market1501'
    content = scipy.io.loadmat(root / 'market_attribute.mat')['market_attribute']
    for split, order, count in (('test', TEST_ORDER, 3), ('train', TRAIN_ORDER, 2)):
        fields = content[split][0, 0]
        assert list(fields.dtype.names) == [*order, 'image_index']
        assert {fields[name][0, 0].shape for name in fields.dtype.names} == {(1, count)}
        # One colour each, as in the published file.
        for garment in ('up', 'down'):
            columns = [name for name in order if name.startswith(garment) and name != garment]
            assert (sum(fields[name][0, 0] == 2 for name in columns) == 1).all()
    dataset = Market1501Attributes(str(root))
    assert len(dataset) == 3 * 12
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        person = identity(3, info['person_id'] - 2)
        shown = names(info['gt_score'], 1)
        assert ('Female' in shown) == person.female
        assert ('AgeLess18' in shown, 'AgeOver60' in shown) == (
            person.age == 'child', person.age == 'old',
        )  # fmt: skip
        assert ('LongSleeve' in shown) == person.long_sleeves
        assert ('Hat' in shown) == (person.hat != 'none')
        skirt = person.lower_kind == 'skirt' or person.upper_kind == 'dress'
        assert ('Skirt&Dress' in shown) == skirt


def test_what_a_picture_shows_is_among_the_attributes_of_its_person() -> None:
    """The drawing judges visibility by pixels; what is seen, the person must have."""
    rules = read_mapping(MAPPING, CLASSES)
    seen: dict[str, int] = dict.fromkeys(rules, 0)
    for seed in range(60):
        rng = np.random.default_rng((5, seed))
        person = sample_person(rng)
        shot = crop_shot(rng, person, CAMERAS[seed % 6], (64, 128))
        attributes = market_attributes(person)
        assert set(attributes) == set(FIELDS)
        for name, rule in rules.items():
            if shot.attributes[CLASSES.index(name)]:
                seen[name] += 1
                assert all(attributes[field] in values for field, values in rule.items()), name
    assert min(seen.values()) > 0


def test_colours_are_named_by_the_eye() -> None:
    """A garment in a colour's own tone gets that name."""
    person = sample_person(np.random.default_rng(0))
    for colour, tone in COLOURS.items():
        dressed = replace(
            person,
            lower_kind='trousers',
            upper=replace(person.upper, colour=tone),
            lower=replace(person.lower, colour=tone),
        )
        attributes = market_attributes(dressed)
        for garment in ('up', 'down'):
            if f'{garment}{colour}' in FIELDS:
                assert attributes[f'{garment}{colour}'] == 2
