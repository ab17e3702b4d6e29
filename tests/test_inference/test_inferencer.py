"""The inferencer with a real network: every task as alone, typed results, and what it warns of."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmgradsplit.functional import letterbox
from mmgradsplit.inference import (
    Attributes,
    BoxesFile,
    Embedding,
    Keypoints,
    LabelMap,
    MultiTaskInferencer,
    ValueMap,
    VectorMap,
    decode,
)
from mmgradsplit.visualization import make_sample, predict_batch

from .conftest import Files

SIZE = (32, 64)


@pytest.fixture
def inferencer(files: Files) -> MultiTaskInferencer:
    return MultiTaskInferencer(files.config, files.checkpoint, device='cpu')


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What is logged as a warning."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Handler(logging.WARNING)
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def test_each_task_has_its_type(inferencer: MultiTaskInferencer, files: Files) -> None:
    tall, wide = inferencer(files.pictures)
    assert (tall.name, tall.size, wide.name, wide.size) == ('tall', (40, 96), 'wide', (110, 50))
    assert tall.source == str(files.pictures / 'tall.png') and tall.image is None
    said: Any = wide.tasks
    assert {task: type(each) for task, each in said.items()} == dict(
        attribute=Attributes, reid=Embedding, pose=Keypoints, parsing=LabelMap
    )
    assert said['attribute'].names == ('hat', 'coat', 'bag')
    assert ((said['attribute'].probabilities > 0) & (said['attribute'].probabilities < 1)).all()
    assert said['reid'].vector.shape == (8,)
    assert said['pose'].names == ('head', 'foot') and said['pose'].links == ((0, 1),)
    assert said['pose'].xy.shape == (1, 2, 2) and said['pose'].scores.shape == (1, 2)
    assert said['parsing'].labels.shape == (50, 110) and said['parsing'].labels.dtype == np.uint8
    assert said['parsing'].names[3] == 'shoe' and tuple(said['parsing'].palette[1]) == (200, 30, 30)


def test_the_shared_pass_says_what_each_task_says_alone(
    inferencer: MultiTaskInferencer, files: Files
) -> None:
    """``model(inputs, task=...)`` for each task, with inputs made by hand."""
    model = inferencer.model
    model.tasks['pose'].test_cfg['flip_test'] = False
    image = cv2.imread(str(files.pictures / 'tall.png'))
    (result,) = inferencer(image, size=SIZE)
    placement = letterbox((40, 96), SIZE)
    assert placement.content == (27, 64)
    pixels = cv2.resize(image, (27, 64), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    normalised = np.pad((pixels - np.array(120.0)) / 60.0, ((0, 0), (0, 5), (0, 0)))
    inputs = torch.tensor(normalised.transpose(2, 0, 1)[None], dtype=torch.float32)
    for task in model.tasks:
        sample = make_sample(model.tasks[task], placement)
        with torch.no_grad():
            (alone,) = model(inputs, [sample], mode='predict', task=task)
        expected = decode(model.tasks[task], alone, inferencer.metas.get(task, {}))
        assert expected is not None
        for name, value in vars(expected).items():
            if isinstance(value, np.ndarray):
                ours = getattr(result.tasks[task], name)
                np.testing.assert_allclose(ours, value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('passes', ['shared', 'own'])
def test_the_size_of_a_batch_changes_nothing(
    inferencer: MultiTaskInferencer, files: Files, passes: Any
) -> None:
    given = [files.pictures, files.video]
    one, five = (inferencer(given, passes=passes, batch_size=size) for size in (1, 5))
    assert [each.name for each in one] == [
        'tall', 'wide', 'clip_000000', 'clip_000001', 'clip_000002',
    ]  # fmt: skip
    for alone, together in zip(one, five, strict=True):
        assert alone.name == together.name
        for task, said in alone.tasks.items():
            for name, value in vars(said).items():
                if isinstance(value, np.ndarray):
                    other = getattr(together.tasks[task], name)
                    np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-4)


def test_own_passes_see_what_validation_sees(files: Files) -> None:
    """The size of each task's pass over the backbone; the pose is flipped, too."""
    inferencer = MultiTaskInferencer(files.config, files.checkpoint, device='cpu')
    seen: list[tuple[int, ...]] = []
    inferencer.model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape))
    )
    inferencer(files.pictures / 'wide.png', passes='own')
    # The parsing's picture of 110 x 50 is scaled to fit within 64 x 64.
    assert seen == [(1, 3, 64, 32)] * 2 + [(1, 3, 64, 64)] * 2 + [(1, 3, 29, 64)]
    seen.clear()
    inferencer(files.pictures / 'wide.png', passes='shared')
    assert seen == [(1, 3, 64, 32)]


def test_some_tasks(inferencer: MultiTaskInferencer, files: Files) -> None:
    (result,) = inferencer(files.pictures / 'wide.png', tasks=['parsing', 'attribute'])
    assert list(result.tasks) == ['attribute', 'parsing']
    with pytest.raises(KeyError, match=r"no task 'parsin'.*did you mean 'parsing'"):
        inferencer(files.pictures, tasks=['parsin'])


def test_different_sizes_are_said_once(
    inferencer: MultiTaskInferencer, files: Files, warnings: list[str]
) -> None:
    for _ in range(2):
        inferencer(files.pictures)
    inferencer(files.pictures, tasks=['attribute', 'reid'])
    inferencer(files.pictures, size=SIZE)
    (warning,) = warnings
    assert 'attribute 32x64' in warning and 'pose 64x64' in warning and "passes='own'" in warning


def test_rounded_sizes_are_said(files: Files, warnings: list[str]) -> None:
    options = {f'model.tasks.{task}.data_preprocessor.pad_size_divisor': 32
               for task in ('attribute', 'reid', 'pose')}  # fmt: skip
    inferencer = MultiTaskInferencer(files.config, files.checkpoint, 'cpu', options)
    inferencer(files.pictures, size=(33, 60))
    assert any('multiples of 32: 64x64 instead of 33x60' in warning for warning in warnings)


def test_a_broken_file_is_named_and_the_rest_goes_on(
    inferencer: MultiTaskInferencer, files: Files, tmp_path: Path, warnings: list[str]
) -> None:
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'zero.mp4').touch()
    given = [tmp_path / 'text.jpg', files.pictures / 'tall.png', tmp_path / 'zero.mp4']
    (result,) = inferencer(given)
    assert result.name == 'tall' and result.index == 1
    assert [Path(failure.source).name for failure in inferencer.failures] == [
        'text.jpg', 'zero.mp4',
    ]  # fmt: skip
    assert sum('text.jpg' in warning for warning in warnings) == 1
    with pytest.raises(ValueError, match=r'nothing came out of 2 inputs: .*text\.jpg'):
        inferencer([given[0], given[2]])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(batch_size=0), 'batch_size must be at least 1'),
        (dict(passes='both'), "'shared' or 'own'"),
        (dict(size=(0, 8)), 'size must be a width and a height'),
        (dict(size=(8, 8), passes='own'), 'leave the size out'),
        (dict(tasks=[]), 'tasks is empty'),
    ],
)
def test_options_are_checked(
    inferencer: MultiTaskInferencer, files: Files, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inferencer(files.pictures, **options)


def test_without_a_size_every_picture_keeps_its_own(files: Files, tmp_path: Path) -> None:
    """Also the people of a scene, whose parts differ in size."""
    cfg = Config.fromfile(files.config)
    cfg.pop('val_dataloader')
    inferencer = MultiTaskInferencer(cfg, files.checkpoint, 'cpu')
    seen: list[tuple[int, ...]] = []
    inferencer.model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape))
    )
    inferencer(files.pictures)
    assert seen == [(1, 3, 96, 40), (1, 3, 50, 110)]
    boxes = tmp_path / 'boxes.json'
    annotations = [dict(image_id=1, bbox=box) for box in ([8, 8, 40, 32], [60, 8, 16, 24])]
    images = [dict(id=1, file_name='wide.png')]
    boxes.write_text(json.dumps(dict(images=images, annotations=annotations)))
    seen.clear()
    inferencer(files.pictures / 'wide.png', people=BoxesFile(boxes))
    assert seen == [(1, 3, 40, 50), (1, 3, 30, 20)]
    with pytest.raises(ValueError, match='different sizes need a size'):
        predict_batch(inferencer.model, [np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3))])


def test_crops_of_different_sizes_say_no_size(files: Files) -> None:
    cfg = Config.fromfile(files.config)
    cfg.val_dataloader = {
        task: dict(dataset=dict(pipeline=[dict(type='CenterCrop', crop_size=(side, side))]))
        for task, side in (('attribute', 40), ('reid', 32))
    }
    inferencer = MultiTaskInferencer(cfg, files.checkpoint, 'cpu')
    assert len(inferencer(files.pictures)) == 2


def test_large_pictures_come_in_small_batches(
    inferencer: MultiTaskInferencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmgradsplit.inference.inferencer.BATCH_PIXELS', 1000)
    seen: list[int] = []
    inferencer.model.backbone.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    shapes = [(20, 20), (20, 20), (20, 20), (50, 50), (10, 10), (10, 10)]
    inferencer([np.zeros((*shape, 3), np.uint8) for shape in shapes], batch_size=8)
    assert seen == [2, 1, 1, 2]


def test_a_step_that_cannot_be_followed(files: Files) -> None:
    options = {'val_dataloader.reid.dataset.pipeline': [dict(type='CenterCrop', crop_size=224)]}
    inferencer = MultiTaskInferencer(files.config, files.checkpoint, 'cpu', options)
    with pytest.raises(ValueError, match=r"'reid' does not say .* the step 'CenterCrop'"):
        inferencer(files.pictures, passes='own')


def test_depth_and_normals_of_a_joint_network() -> None:
    """The types of dense regression, by the drawn scenes' own config; the names are its classes."""
    inferencer = MultiTaskInferencer(
        'sta/ft_r18_scenes.py', device='cpu', cfg_options=dict(tasks=['seg', 'depth', 'normal'])
    )
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    (result,) = inferencer(image)
    seg, depth, normal = (result.tasks[task] for task in ('seg', 'depth', 'normal'))
    assert isinstance(seg, LabelMap) and seg.labels.shape == (60, 80)
    assert isinstance(depth, ValueMap) and depth.name == 'depth' and depth.values.shape == (60, 80)
    assert isinstance(normal, VectorMap) and normal.vectors.shape == (60, 80, 3)
    np.testing.assert_allclose(np.linalg.norm(normal.vectors, axis=2), 1, atol=1e-5)
