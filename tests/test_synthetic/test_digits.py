"""The digits converter: its sources, what it writes, and that the toolboxes read it."""

import gzip
import pickle
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS as ROOT_DATASETS

from mmgradsplit.synthetic.digits import make_digits
from mmgradsplit.synthetic.digits_sources import read_cifar10, read_mnist

SHARED = Path(__file__).parents[3] / 'shared' / 'data'
CLASSES = ('bird', 'ship', 'truck')


def write_idx(path: Path, array: np.ndarray) -> None:
    sizes = b''.join(n.to_bytes(4, 'big') for n in array.shape)
    content = bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)


def write_mnist(folder: Path, stem: str, number: int, end: str = '') -> np.ndarray:
    """Digit i is a square whose side and place tell i: no two are equal."""
    images = np.zeros((number, 28, 28), np.uint8)
    for i, image in enumerate(images):
        image[2 + i // 20 : 20, 2 + i % 20 : 24] = 255
    write_idx(folder / f'{stem}-images-idx3-ubyte{end}', images)
    write_idx(folder / f'{stem}-labels-idx1-ubyte{end}', np.arange(number) % 10)
    return images


def colour(split: str, label: int, i: int) -> tuple[int, int, int]:
    return 10 + 20 * i, 40 * label, 120 if split == 'train' else 20


def write_photos(folder: Path, number: int = 4) -> Path:
    for split in ('train', 'test'):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for i in range(number):
                photo = np.full((32, 32, 3), colour(split, label, i), np.uint8)
                cv2.imwrite(str(folder / split / name / f'{i}.png'), photo)
    return folder


def write_pickles(folder: Path) -> Path:
    folder.mkdir(parents=True)

    def dump(name: str, content: dict) -> None:
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))

    rng = np.random.default_rng(0)
    for name in [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']:
        dump(name, dict(data=rng.integers(0, 256, (3, 3072), dtype=np.uint8), labels=[2, 0, 1]))
    dump('batches.meta', dict(label_names=list(CLASSES)))
    return folder


@pytest.fixture
def sources(tmp_path):
    write_mnist(tmp_path / 'mnist', 't10k', 50, '.gz')
    return dict(mnist=tmp_path / 'mnist', cifar=write_photos(tmp_path / 'photos'))


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_pictures_masks_and_labels_agree(sources, tmp_path):
    out = make_digits(**sources, out=tmp_path / 'out', train=30, test=9, size=48, digit_size=20)
    for split, number in (('train', 30), ('test', 9)):
        names = [name for name, _ in lines(out / f'photo_{split}.txt')]
        assert names == [name for name, _ in lines(out / f'digit_{split}.txt')]
        assert names == [f'images/{i:05d}.png' for i in range(number)]
        places = set()
        for name, label in lines(out / f'photo_{split}.txt'):
            picture = cv2.imread(str(out / split / name)).astype(int)
            mask = cv2.imread(str(out / split / name.replace('images', 'masks')), -1)
            assert picture.shape == (48, 48, 3) and mask.shape == (48, 48)
            assert set(np.unique(mask)) == {0, 1}
            assert picture[mask == 1].min() >= 100  # at least half of the least white
            ys, xs = np.nonzero(mask)
            assert np.ptp(ys) < 20 and np.ptp(xs) < 20
            places.add((ys.min(), xs.min()))
            background = np.median(picture[mask == 0], axis=0)
            assert tuple(background)[1:] == colour(split, int(label), 0)[1:]
        assert len(places) > number // 2


def test_training_and_test_share_nothing(sources, tmp_path):
    out = make_digits(**sources, out=tmp_path / 'out', train=200, test=200, size=28, digit_size=28)
    masks = {
        split: {cv2.imread(str(p), -1).tobytes() for p in (out / split / 'masks').iterdir()}
        for split in ('train', 'test')
    }
    # 50 different digits at one place: 40 for training, each of them used, and 10 for test.
    assert (len(masks['train']), len(masks['test'])) == (40, 10)
    assert not masks['train'] & masks['test']
    # Photographs: the background's red tells the split (see test_pictures_masks_and_labels_agree).
    counts = np.bincount([int(label) for _, label in lines(out / 'photo_train.txt')])
    assert np.ptp(counts) <= 4  # each photograph equally often, give or take one


def test_seed_decides_everything(sources, tmp_path):
    def made(name: str, seed: int) -> dict[str, bytes]:
        out = make_digits(**sources, out=tmp_path / name, train=10, test=5, seed=seed)
        return content(out)

    first = made('a', 0)
    assert first == made('b', 0)
    other = made('c', 1)
    assert first['train/images/00000.png'] != other['train/images/00000.png']


def test_same_arguments_return_at_once_and_others_refuse(sources, tmp_path):
    options = dict(**sources, out=tmp_path / 'out', train=5, test=5)
    out = make_digits(**options)
    before = content(out)
    (out / 'train' / 'images' / '00000.png').write_bytes(b'mine')
    assert make_digits(**options) == out
    assert (out / 'train' / 'images' / '00000.png').read_bytes() == b'mine'
    with pytest.raises(FileExistsError, match=r'out was made with another seed, train: remove'):
        make_digits(**options | dict(train=6, seed=2))
    assert content(out).keys() == before.keys()

    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'diary.txt').write_text('dear diary')
    with pytest.raises(FileExistsError, match=r'mine exists and is no data set made here'):
        make_digits(**options | dict(out=tmp_path / 'mine'))


def test_interrupted_run_leaves_no_set_and_is_taken_up(sources, tmp_path, monkeypatch):
    options = dict(**sources, out=tmp_path / 'out', train=5, test=5)
    with monkeypatch.context() as patch, pytest.raises(OSError, match='cannot write'):
        patch.setattr(cv2, 'imwrite', lambda path, _: '00003' not in path)
        make_digits(**options)
    assert not (tmp_path / 'out').exists()
    assert len(content(make_digits(**options))) == 2 * (5 + 5 + 2) + 1


def test_two_mnist_sets_keep_their_roles(sources, tmp_path):
    train = write_mnist(tmp_path / 'root' / 'MNIST' / 'raw', 'train', 7)
    write_mnist(tmp_path / 'root' / 'MNIST' / 'raw', 't10k', 4)
    sets = read_mnist(tmp_path / 'root')
    assert {name: len(s) for name, s in sets.items()} == dict(train=7, test=4)
    assert all((sets['train'].read(i) == train[i]).all() for i in range(7))
    out = make_digits(tmp_path / 'root', sources['cifar'], tmp_path / 'out', train=14, test=8)
    digits = [label for _, label in lines(out / 'digit_train.txt')]
    assert sorted(digits) == sorted(2 * [str(i) for i in range(7)])


def test_photographs_from_folder_zip_and_pickles_are_the_same(tmp_path):
    folder = write_photos(tmp_path / 'photos')
    with zipfile.ZipFile(tmp_path / 'photos.zip', 'w') as archive:
        for path in folder.rglob('*.png'):
            archive.write(path, Path('any', 'name', path.relative_to(folder)))
    from_folder, classes = read_cifar10(folder)
    from_zip, zip_classes = read_cifar10(tmp_path / 'photos.zip')
    assert classes == zip_classes == list(CLASSES)
    for split, photos in from_folder.items():
        assert photos.labels.tolist() == from_zip[split].labels.tolist()
        for i in range(len(photos)):
            assert (photos.read(i) == from_zip[split].read(i)).all()
            label = int(photos.labels[i])
            assert tuple(photos.read(i)[0, 0]) == colour(split, label, i % 4)


def test_torchvisions_pickles(tmp_path):
    write_pickles(tmp_path / 'cifar-10-batches-py')
    sets, classes = read_cifar10(tmp_path)
    assert classes == list(CLASSES)
    assert {name: len(s) for name, s in sets.items()} == dict(train=15, test=3)
    assert sets['test'].labels.tolist() == [2, 0, 1]
    first = pickle.loads((tmp_path / 'cifar-10-batches-py' / 'data_batch_1').read_bytes())
    # 1,024 red values, then green, then blue, row by row; OpenCV wants blue first.
    red, green, blue = first['data'][1].reshape(3, 1024)
    assert sets['train'].read(1)[3, 5].tolist() == [blue[101], green[101], red[101]]


def test_pickles_run_no_code(tmp_path):
    folder = write_pickles(tmp_path / 'cifar-10-batches-py')

    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / 'evil').touch, ())

    (folder / 'test_batch').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r'cannot read .*test_batch \(it asks for'):
        read_cifar10(tmp_path)
    assert not (tmp_path / 'evil').exists()


def test_missing_sources_are_named(sources, tmp_path):
    def make(**changes):
        make_digits(**sources | dict(out=tmp_path / 'out', train=5, test=5) | changes)

    nowhere = tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match=r'MNIST: no IDX file in .*nowhere'):
        make(mnist=nowhere)
    with pytest.raises(FileNotFoundError, match=r'CIFAR-10: no file or folder .*nowhere'):
        make(cifar=nowhere)
    with pytest.raises(FileNotFoundError, match=r'CIFAR-10: .*mnist holds no train/CLASS'):
        make(cifar=sources['mnist'])
    with pytest.raises(ValueError, match=r'digit_size=80 must be in 1 to size=64'):
        make(digit_size=80)
    with pytest.raises(ValueError, match=r'train=0 and test=5 must be positive'):
        make(train=0)
    (sources['mnist'] / 't10k-labels-idx1-ubyte.gz').unlink()
    with pytest.raises(ValueError, match=r'has no labels beside it'):
        make()
    assert not (tmp_path / 'out').exists()


def test_corrupt_sources_are_named(sources, tmp_path):
    def make(**changes):
        make_digits(**sources | dict(out=tmp_path / 'out', train=50, test=20) | changes)

    (tmp_path / 'broken.zip').write_bytes(b'PK not a zip')
    with pytest.raises(ValueError, match=r'broken\.zip is not a whole zip'):
        make(cifar=tmp_path / 'broken.zip')
    (sources['cifar'] / 'train' / 'bird' / '1.png').write_bytes(b'not an image')
    with pytest.raises(ValueError, match=r'train/bird/1\.png in .*photos is not a readable image'):
        make()
    write_idx(sources['mnist'] / 't10k-labels-idx1-ubyte.gz', np.zeros(49))
    with pytest.raises(ValueError, match=r'50 images, but .* has 49 labels'):
        make()
    images = sources['mnist'] / 't10k-images-idx3-ubyte.gz'
    whole = images.read_bytes()
    images.write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r'MNIST: cannot read .*t10k-images'):
        make()
    images.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(ValueError, match=r't10k-images.* is not a whole IDX file'):
        make()


def test_the_toolboxes_read_it(sources, tmp_path):
    out = make_digits(**sources, out=tmp_path / 'out', train=6, test=6)
    for task in ('digit', 'photo'):
        dataset = ROOT_DATASETS.build(
            dict(
                _scope_='mmpretrain',
                type='CustomDataset',
                data_root=str(out),
                data_prefix='train',
                ann_file=f'{task}_train.txt',
                pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
            )
        )
        labels = [int(label) for _, label in lines(out / f'{task}_train.txt')]
        assert dataset.get_gt_labels().tolist() == labels
        assert dataset[3]['inputs'].shape == (3, 64, 64)
    masks = ROOT_DATASETS.build(
        dict(
            _scope_='mmseg',
            type='BaseSegDataset',
            data_root=str(out),
            data_prefix=dict(img_path='test/images', seg_map_path='test/masks'),
            img_suffix='.png',
            metainfo=dict(classes=('background', 'digit'), palette=[[0, 0, 0], [255, 255, 255]]),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
    )
    assert len(masks) == 6
    assert set(masks[0]['data_samples'].gt_sem_seg.data.unique().tolist()) == {0, 1}


@pytest.mark.skipif(not SHARED.is_dir(), reason='../shared/data is not beside the repository')
def test_real_digits_on_real_photographs(tmp_path):
    out = make_digits(
        SHARED / 'mnist', SHARED / 'cifar10_subset.zip', tmp_path / 'out', train=300, test=100
    )
    for split, number in (('train', 300), ('test', 100)):
        masks = [cv2.imread(str(p), -1) for p in sorted((out / split / 'masks').iterdir())]
        assert len(masks) == number
        # A written digit covers 3 to 40 in a hundred of its 56 x 56.
        assert all(0.03 < mask.sum() / 56**2 < 0.4 for mask in masks)
        for task in ('digit', 'photo'):
            labels = {int(label) for _, label in lines(out / f'{task}_{split}.txt')}
            assert labels == set(range(10))
