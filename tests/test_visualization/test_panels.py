"""The pictures after training: the right neighbours, no trace in the training, early errors."""

import errno
import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.io
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset, TensorDataset

from mmgradsplit.apis import load_model
from mmgradsplit.datasets import PA100K
from mmgradsplit.inference import draw_validation_images, predict_to_folder
from mmgradsplit.registry import DATASETS
from mmgradsplit.visualization import PanelMaker, predict_image
from mmgradsplit.visualization import panel_hook as panels_module
from mmgradsplit.visualization.panel_maker import choose

RUNS = itertools.count()
CAMERAS = (1, 2, 3)
ATTRIBUTES = len(PA100K.METAINFO['classes'])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four persons of one colour each, before three cameras, as Market-1501 and PA-100K."""
    rng = np.random.default_rng(0)

    def paint(path: Path, person: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        color = np.random.default_rng(max(person, 0)).integers(0, 256, 3)
        noise = rng.integers(-20, 20, (48, 24, 3))
        cv2.imwrite(str(path), np.clip(color + noise, 0, 255).astype(np.uint8))

    market = tmp_path / 'market1501'
    for person in (1, 2, 3, 4):
        for camera in CAMERAS:
            name = f'{person:04d}_c{camera}s1_000000_00.png'
            paint(market / 'bounding_box_train' / name, person)
            paint(market / 'bounding_box_test' / name, person)
        paint(market / 'query' / f'{person:04d}_c1s1_000001_00.png', person)
    paint(market / 'bounding_box_test' / '-1_c2s1_000000_00.png', -1)
    paint(market / 'bounding_box_test' / '0000_c2s1_000000_00.png', 0)

    pa100k = tmp_path / 'pa100k'
    names = [f'{i:06d}.png' for i in range(6)]
    for i, name in enumerate(names):
        paint(pa100k / 'release_data' / 'release_data' / name, i)
    cells = np.array([[name] for name in names], dtype=object)
    content: dict[str, Any] = {}
    for split in ('train', 'test'):
        content[f'{split}_images_name'] = cells
        content[f'{split}_label'] = rng.integers(0, 2, (len(names), ATTRIBUTES))
    (pa100k / 'annotation').mkdir()
    scipy.io.savemat(pa100k / 'annotation' / 'annotation.mat', content)
    return tmp_path


def loader(dataset: dict, split: str, meta_keys: tuple = ()) -> dict:
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(32, 64)),
        dict(type='PackInputs', meta_keys=meta_keys),
    ]
    return dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(_scope_='mmpretrain', **dataset, split=split, pipeline=steps),
    )


def config(data: Path, *hooks: dict, **options: Any) -> Config:
    market = dict(type='mmgradsplit.Market1501', data_root=str(data / 'market1501'))
    pa100k = dict(type='mmgradsplit.PA100K', data_root=str(data / 'pa100k'))
    fields = ('person_id', 'camera_id', 'is_query')
    head = dict(in_channels=64, conv_channels=8)
    colors = dict(mean=[120.0, 120.0, 120.0], std=[60.0, 60.0, 60.0], to_rgb=True)
    attribute = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor', num_classes=ATTRIBUTES, to_onehot=True, **colors
        ),
        head=dict(
            type='mmgradsplit.MultiLabelConvHead',
            num_classes=ATTRIBUTES,
            loss=dict(type='CrossEntropyLoss', use_sigmoid=True),
            **head,
        ),
    )
    reid = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='ClsDataPreprocessor', **colors),
        head=dict(
            type='mmgradsplit.ReIDHead',
            num_classes=4,
            norm_cfg=dict(type='GN', num_groups=2),
            loss=dict(type='CrossEntropyLoss'),
            **head,
        ),
    )
    cfg = dict(
        default_scope='mmgradsplit',
        model=dict(
            type='MultiTaskModel',
            backbone=dict(
                type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8,
                norm_cfg=dict(type='GN', num_groups=2), out_indices=(3,),
            ),
            tasks=dict(attribute=attribute, reid=reid),
        ),
        train_dataloader=dict(attribute=loader(pa100k, 'train'), reid=loader(market, 'train')),
        val_dataloader=dict(attribute=loader(pa100k, 'test'), reid=loader(market, 'test', fields)),
        val_evaluator=dict(attribute=dict(type='AttributeMetric'), reid=dict(type='ReIDMetric')),
        train_cfg=dict(type='RoundRobinTrainLoop', max_epochs=1, iters_per_epoch=2),
        val_cfg=dict(type='MultiTaskValLoop'),
        optim_wrapper=dict(
            type='GradSplitOptimWrapper',
            constructor='GradSplitOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
            relations='none',
        ),
        custom_hooks=list(hooks),
        randomness=dict(seed=0),
        work_dir=str(data / 'run'),
        experiment_name=f'panels {next(RUNS)}',
    )  # fmt: skip
    built = Config(cfg)
    built.merge_from_dict(options)
    return built


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_pictures_are_written_and_training_is_the_same(data: Path) -> None:
    hook = dict(type='PanelHook', num_images=2, num_neighbours=5)
    drawn = run(config(data, hook))
    bare = run(config(data, work_dir=str(data / 'bare')))
    for name, value in bare.model.state_dict().items():
        assert torch.equal(value, drawn.model.state_dict()[name]), name
    pictures = sorted((data / 'run' / 'panels').glob('*.png'))
    names = ['attribute_00000', 'attribute_00005', 'reid_00000', 'reid_00003']
    assert [path.stem for path in pictures] == names
    for path in [*pictures, data / 'run' / 'relation_mask.png']:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.std() > 10
    assert not (data / 'bare' / 'panels').exists()
    # The same from a checkpoint, from a query and from a photograph.
    checkpoint = data / 'run' / 'epoch_1.pth'
    files = draw_validation_images(config(data), checkpoint, data / 'out', num_images=2)
    with pytest.raises(ValueError, match='--num-images must be at least 1, got 0'):
        draw_validation_images(config(data), checkpoint, data / 'none', num_images=0)
    with pytest.raises(FileExistsError, match=r'\w+_0000\d\.png.*--overwrite'):
        draw_validation_images(config(data), checkpoint, data / 'out')
    photo = next((data / 'pa100k').rglob('*.png'))
    files += predict_to_folder(config(data), checkpoint, [photo], data / 'out')
    assert [path.stem for path in files] == [*names, photo.stem]
    assert all(path.is_file() for path in files)
    model: Any = load_model(config(data), checkpoint)
    assert model.dataset_meta['attribute']['classes'] == PA100K.METAINFO['classes']
    assert model.input_size == (32, 64)


def test_neighbours_follow_the_protocol(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = load_model(config(data))
    dataset = DATASETS.build(config(data).val_dataloader.reid.dataset)
    seen: list[dict] = []
    monkeypatch.setattr(
        'mmgradsplit.visualization.panel_maker.draw_panel',
        lambda image, predictions, metas, **rest: seen.append(rest) or Figure(),
    )
    maker = PanelMaker(model, dict(reid=dataset), num_neighbours=100)
    assert [name for name, _ in maker.panels(2)] == ['reid_00000', 'reid_00003']

    # By hand: each image alone through the network.
    def embed(path: str) -> torch.Tensor:
        vector = predict_image(model, path, (32, 64))['reid'].embedding
        return vector / vector.norm()

    for rest, person in zip(seen, (1, 4), strict=True):
        query = embed(str(data / 'market1501' / 'query' / f'{person:04d}_c1s1_000001_00.png'))
        expected = []
        for path in (data / 'market1501' / 'bounding_box_test').iterdir():
            other, camera = int(path.name.split('_')[0]), int(path.name.split('_c')[1][0])
            if other != -1 and not (other == person and camera == 1):
                expected.append((1 - float(query @ embed(str(path))), other == person))
        expected.sort()
        found = [(neighbour.distance, neighbour.same) for neighbour in rest['neighbours']]
        assert len(found) == 12  # 4 persons x 3 cameras + 1 distractor - 1 of the same camera
        np.testing.assert_allclose([d for d, _ in found], [d for d, _ in expected], atol=1e-4)
        assert sum(same for _, same in found) == 2


def test_true_attributes_come_from_the_task_whose_images_are_drawn(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_model(config(data))
    dataset = DATASETS.build(config(data).val_dataloader.attribute.dataset)
    seen: list[dict] = []
    monkeypatch.setattr(
        'mmgradsplit.visualization.panel_maker.draw_panel',
        lambda image, predictions, metas, **rest: seen.append(rest) or Figure(),
    )
    list(PanelMaker(model, dict(attribute=dataset)).panels(1))
    labels = scipy.io.loadmat(data / 'pa100k' / 'annotation' / 'annotation.mat')['test_label'][0]
    assert seen[0]['truth'] == {'attribute': set(np.flatnonzero(labels).tolist())}
    assert not seen[0]['neighbours']


@pytest.mark.parametrize(('number', 'expected'), [(1, [0]), (2, [0, 5]), (3, [0, 3, 5]), (9, None)])
def test_queries_are_spread_over_the_identities(number: int, expected: list[int] | None) -> None:
    persons = [7, 7, 7, 8, 8, 9]
    infos = [dict(is_query=True, person_id=person) for person in persons]
    infos += [dict(is_query=False, person_id=person) for person in persons]
    assert choose(infos, number) == (expected or [0, 3, 5])


def test_without_queries_images_are_spread_over_the_data_set() -> None:
    assert choose([{}] * 11, 3) == [0, 5, 10]


def test_a_wrong_task_is_an_error_before_training(data: Path) -> None:
    with pytest.raises(ValueError, match=r"images_from: there is no task 'pose'"):
        run(config(data, dict(type='PanelHook', images_from='pose')))
    assert not list((data / 'run').glob('*.pth'))


class Posed(Dataset):
    """One image with two people, as mmpose's top-down data sets give them."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def __len__(self) -> int:
        return 2

    def get_data_info(self, index: int) -> dict:
        return dict(img_path=str(self.image))

    def __getitem__(self, index: int) -> dict:
        meta = dict(
            input_center=np.array([10.0 + 20 * index, 20.0], np.float32),
            input_scale=np.array([20.0, 40.0], np.float32),
        )
        return dict(inputs=torch.zeros(3, 64, 32), data_samples=DataSample(metainfo=meta))


def test_each_task_is_shown_on_its_own_images_as_its_pipeline_cuts_them(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red on the left, blue on the right: each person has a panel, of a colour alone."""
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20, 2], image[:, 20:, 0] = 200, 200
    cv2.imwrite(str(data / 'two.png'), image)
    dataset = DATASETS.build(config(data).val_dataloader.attribute.dataset)
    model: Any = load_model(config(data))
    seen: list[np.ndarray] = []
    sizes: list[tuple] = []
    monkeypatch.setattr(
        'mmgradsplit.visualization.panel_maker.draw_panel',
        lambda image, predictions, metas, **rest: seen.append(image) or Figure(),
    )
    monkeypatch.setattr(
        'mmgradsplit.visualization.panel_maker.predict_image',
        lambda model, image, size: sizes.append(size) or predict_image(model, image, size),
    )
    sets = dict(attribute=dataset, reid=Posed(data / 'two.png'))
    names = [name for name, _ in PanelMaker(model, sets).panels(2)]
    assert names == ['attribute_00000', 'attribute_00005', 'reid_00000', 'reid_00001']
    assert sizes == [(32, 64)] * 4
    for cut, channel in zip(seen[2:], (2, 0), strict=True):
        assert cut.shape == (40, 20, 3)
        assert (cut[..., channel] == 200).all()
        assert (np.delete(cut, channel, axis=2) == 0).all()
    assert [name for name, _ in PanelMaker(model, sets, images_from='reid').panels(1)] == names[2:3]
    # A task that shares another's data set adds no panels: they would be the same.
    shared = dict(attribute=dataset, reid=dataset)
    assert [name for name, _ in PanelMaker(model, shared).panels(2)] == names[:2]


def test_data_sets_without_image_files_are_passed_over(data: Path) -> None:
    model: Any = load_model(config(data))
    dataset = DATASETS.build(config(data).val_dataloader.attribute.dataset)
    bare: Any = TensorDataset(torch.zeros(2))
    assert PanelMaker(model, dict(other=bare, attribute=dataset)).tasks == ['attribute']
    message = r"images_from: .* task 'other' \(TensorDataset\) has no image files"
    with pytest.raises(ValueError, match=message):
        PanelMaker(model, dict(other=bare, attribute=dataset), images_from=['other'])
    with pytest.raises(ValueError, match=message):
        PanelMaker(model, dict(other=bare))


def test_without_validation_is_an_error_before_training(data: Path) -> None:
    cfg = config(data, dict(type='PanelHook'))
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='val_cfg'):
        run(cfg)


def test_another_normalisation_is_an_error_before_training(data: Path) -> None:
    options = {'model.tasks.reid.data_preprocessor.mean': [0.0, 0.0, 0.0]}
    with pytest.raises(ValueError, match=r'tasks\.reid\.data_preprocessor'):
        run(config(data, dict(type='PanelHook'), **options))


def test_a_full_disk_does_not_fail_the_training(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(panels_module, 'save_figure', full)
    runner = run(config(data, dict(type='PanelHook', num_images=1)))
    assert 'No space left on device' in next(Path(runner.log_dir).glob('*.log')).read_text()
    assert (data / 'run' / 'epoch_1.pth').is_file()
