"""docs/your_own_data.md: its config trains, its code runs, its sentences are those one reads."""

import copy
import json
import os
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fixtures_training import load, named, quick, run
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmgradsplit.apis import evaluate, load_model, predict_image
from mmgradsplit.registry import DATASETS

PAGE = (Path(__file__).resolve().parent.parent / 'docs/your_own_data.md').read_text()
BLOCKS = re.findall(r'^```python\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
NUMBERS = "(('train', 200), ('val', 60))"
TASKS = ['traits', 'parts', 'roof', 'kind']


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of the page, and the houses that its script draws, but few."""
    folder = tmp_path_factory.mktemp('page')
    for block in BLOCKS:
        name = re.match(r'# (\w+\.py)\n', block)
        if name:
            with open(folder / name[1], 'a') as file:
                file.write(block[name.end() :] + '\n')
    script = (folder / 'draw_houses.py').read_text()
    assert NUMBERS in script
    (folder / 'draw_houses.py').write_text(script.replace(NUMBERS, "(('train', 8), ('val', 6))"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        runpy.run_path('draw_houses.py')
        yield folder


@pytest.fixture(autouse=True)
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def shortened(name: str) -> Config:
    """A config of the page with one epoch of two iterations, read without further processes."""
    cfg = Config.fromfile(name, format_python_code=False)
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=2)
    train = cfg.train_dataloader
    own = [train] if 'dataset' in train else train.values()
    for loader in [*own, *cfg.val_dataloader.values()]:
        loader.num_workers = 0
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    return cfg


def test_the_config_trains_tests_and_predicts(folder: Path, tmp_path: Path) -> None:
    cfg = shortened('with_references.py')
    runner = run(cfg, tmp_path / 'run')
    assert list(runner.model.tasks) == TASKS
    summary = json.loads((tmp_path / 'run/summary.json').read_text())
    sums = {'acc_mtl', 'delta_m', 'delta_raw'}
    assert {name.partition('/')[0] for name in summary['trained']} == {*TASKS, *sums}
    assert sorted((tmp_path / 'run/panels').iterdir())
    checkpoint = tmp_path / 'run/epoch_1.pth'
    weights = load(checkpoint)['state_dict']
    assert all(torch.isfinite(value).all() for value in weights.values())

    with quick():
        tested = evaluate(named(cfg), checkpoint, work_dir=tmp_path / 'test')
    assert tested == pytest.approx(summary['trained'], nan_ok=True)

    model = load_model(cfg, checkpoint)
    assert list(model.dataset_meta['traits']['classes']) == ['chimney', 'fence', 'night']
    # A photograph of another size than the network's images.
    photo = cv2.resize(cv2.imread('data/houses/kind/val/tower/1.jpg'), (120, 80))
    predictions = predict_image(model, photo)
    assert predictions['traits'].pred_score.shape == (3,)
    assert predictions['parts'].pred_sem_seg.data.shape == (1, 80, 120)
    assert predictions['roof'].pred_instances.keypoints.shape == (1, 3, 2)
    assert float(predictions['kind'].pred_score.sum()) == pytest.approx(1, abs=1e-5)


def test_the_data_are_read_as_they_were_drawn(folder: Path) -> None:
    init_default_scope('mmgradsplit')
    loaders = Config.fromfile('houses.py', format_python_code=False).val_dataloader
    samples = {task: DATASETS.build(loader.dataset) for task, loader in loaders.items()}
    assert [len(samples[task]) for task in TASKS] == [6, 6, 6, 6]
    rows = Path('data/houses/traits/val.csv').read_text().split()
    assert [samples['traits'][i]['data_samples'].gt_score.int().tolist() for i in range(6)] == [
        [int(cell) for cell in row.split(',')[1:]] for row in rows[1:]
    ]
    mask = samples['parts'][0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert np.array_equal(mask, cv2.imread('data/houses/parts/val/masks/0.png', -1))
    assert sorted(np.unique(mask)) == [0, 1, 2, 3]
    drawn = json.loads(Path('data/houses/roof/val.json').read_text())['annotations'][0]
    points = samples['roof'][0]['data_samples'].gt_instances.keypoints
    assert np.array_equal(points.reshape(3, 2), np.reshape(drawn['keypoints'], (3, 3))[:, :2])
    kinds = [samples['kind'][i]['data_samples'] for i in range(6)]
    assert [(Path(of.img_path).parent.name, int(of.gt_label)) for of in kinds] == [
        *[('cottage', 0)] * 3,
        *[('tower', 1)] * 3,
    ]


def test_the_look_at_a_sample(folder: Path, capsys: pytest.CaptureFixture) -> None:
    sample = runpy.run_path('look.py')['sample']
    assert 'torch.Size([3, 96, 96])' in capsys.readouterr().out
    assert sample['data_samples'].gt_sem_seg.shape == (96, 96)


def test_the_other_data_sets_of_the_page(folder: Path) -> None:
    init_default_scope('mmgradsplit')
    (csv,) = (block for block in BLOCKS if "column='colour'" in block)
    (boxes,) = (block for block in BLOCKS if block.startswith('boxes = '))
    names: dict[str, dict] = {}
    exec(csv + boxes, names)
    Path('data/houses/traits/colours.csv').write_text('file,colour\nval_0.jpg,white\n')
    colours = DATASETS.build(dict(names['csv'], ann_file='colours.csv'))
    assert colours.get_data_info(0)['gt_label'] == 1
    sample = DATASETS.build(names['boxes'])[0]['data_samples'].gt_instances
    drawn = json.loads(Path('data/houses/roof/train.json').read_text())['annotations'][0]['bbox']
    x, y, width, height = drawn
    assert sample.bboxes.tensor.tolist() == [[x, y, x + width, y + height]]
    assert sample.labels.tolist() == [0]


def test_joint_training(folder: Path, tmp_path: Path) -> None:
    cfg = shortened('joint_houses.py')
    cfg.train_dataloader.batch_size = 4
    run(cfg, tmp_path / 'run')
    trained = json.loads((tmp_path / 'run/summary.json').read_text())['trained']
    assert {name.partition('/')[0] for name in trained} == {'traits', 'parts'}
    sample = DATASETS.build(cfg.train_dataloader.dataset).prepare_data(0)['data_samples']
    assert sample.gt_score.shape == (3,)
    assert sample.gt_sem_seg.shape == (96, 96)


# ---- common mistakes ----


def change(key: str, value: object) -> Callable[[Config], None]:
    return lambda cfg: cfg.merge_from_dict({key: value})


def drop(*keys: str) -> Callable[[Config], None]:
    def delete(cfg: Config) -> None:
        part = cfg
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return delete


def masks(edit: Callable[[Path], None]) -> Callable[[Config], None]:
    """A copy of the masks, edited one by one."""

    def with_masks(cfg: Config) -> None:
        shutil.rmtree('data/mine', ignore_errors=True)
        shutil.copytree('data/houses/parts', 'data/mine')
        for file in sorted(Path('data/mine/train/masks').iterdir()):
            edit(file)
        cfg.train_dataloader.parts.dataset.data_root = 'data/mine'

    return with_masks


def in_colour(file: Path) -> None:
    cv2.imwrite(str(file), cv2.imread(str(file)))


def brightened(file: Path) -> None:
    cv2.imwrite(str(file), 50 * cv2.imread(str(file), -1))


def lost(file: Path) -> None:
    if file.stem == '3':
        os.remove(file)


def empty_cell(cfg: Config) -> None:
    rows = Path('data/houses/traits/train.csv').read_text().splitlines()
    Path('data/houses/traits/holes.csv').write_text('\n'.join([*rows[:3], 'train_2.jpg,1,,0']))
    cfg.train_dataloader.traits.dataset.ann_file = 'holes.csv'


def without_scope(cfg: Config) -> None:
    del cfg.train_dataloader.parts.dataset['_scope_']
    cfg.train_dataloader.parts.dataset.type = 'mmseg.BaseSegDataset'


MISTAKES: dict[str, Callable[[Config], None]] = {
    'folder': change('train_dataloader.kind.dataset.data_root', 'data/hoses'),
    'column': change('train_dataloader.traits.dataset.classes', ['chimny', 'fence', 'night']),
    'cell': empty_cell,
    'mask': masks(lost),
    'colours': masks(in_colour),
    'numbers': masks(brightened),
    'classes': change('model.tasks.traits.head.num_classes', 4),
    'keypoints': change('model.tasks.roof.head.out_channels', 2),
    'folders': change('val_dataloader.kind.dataset.data_prefix', 'val/tower'),
    'scope': without_scope,
    'prefix': change('model.tasks.kind.type', 'ImageClassifier'),
    'metainfo': drop('train_dataloader', 'roof', 'dataset', 'metainfo', 'sigmas'),
    'metric': drop('val_evaluator', 'kind'),
    'reference': change('val_cfg.references', {f'{task}/mA': 50 for task in TASKS}),
    'pixels': change('model.tasks.kind.data_preprocessor.mean', [0, 0, 0]),
    'channels': change('model.tasks.traits.head.in_channels', 256),
    'heatmap': change(
        'model.tasks.roof.head', dict(deconv_out_channels=[32, 32], deconv_kernel_sizes=[4, 4])
    ),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_a_mistake_is_answered_by_the_sentence_of_the_page(
    folder: Path, tmp_path: Path, mistake: str
) -> None:
    cfg = shortened('houses.py')
    MISTAKES[mistake](cfg)
    with pytest.raises(Exception) as raised:
        run(cfg, tmp_path)
    # Without what stands in brackets: means, spreads and shapes.
    said = re.sub(r' \(mean [^)]*\)?\)', '', str(raised.value.args[0]))
    assert f'`{said}`' in PAGE
