"""Whole scenes: people by a detector of mmdet, or by a file; bad files are named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmgradsplit.inference import BoxesFile, Detector, Frame, MultiTaskInferencer
from mmgradsplit.inference.people import crop_around
from mmgradsplit.registry import MODELS

from .conftest import Files

DETECTOR = """
default_scope = 'mmdet'
model = dict(
    type='FCOS',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3,
                           pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, num_stages=4,
                  out_indices=(0, 1, 2, 3), norm_cfg=dict(type='GN', num_groups=2)),
    neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, start_level=1, num_outs=5,
              add_extra_convs='on_output'),
    bbox_head=dict(type='FCOSHead', num_classes=3, in_channels=16, feat_channels=16,
                   stacked_convs=1, norm_cfg=None),
    test_cfg=dict(nms_pre=50, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5),
                  max_per_img=20),
)
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 96), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'scale_factor')),
]))
"""
IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
FRAME = Frame('scene', 'photos/scene.png', 0, IMAGE)


def write_detector(folder: Path, classes: tuple[str, ...]) -> tuple[str, str]:
    config, checkpoint = folder / 'detector.py', folder / 'detector.pth'
    config.write_text(DETECTOR)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(dict(Config.fromfile(config).model, _scope_='mmdet'))
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.1)
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return str(config), str(checkpoint)


def test_a_detector_of_mmdet(tmp_path: Path, files: Files) -> None:
    names = write_detector(tmp_path, ('Person', 'car', 'dog'))
    plain = inference_detector(init_detector(*names, 'random', device='cpu'), IMAGE).pred_instances
    keep = (plain.labels == 0).numpy()
    middle = float(plain.scores[plain.labels == 0].median())
    found = Detector(*names, device='cpu', threshold=middle).find(FRAME)
    expected = plain.bboxes.numpy()[keep & (plain.scores.numpy() >= middle)]
    assert 0 < len(found) < keep.sum() < len(plain)
    np.testing.assert_allclose([person.box for person in found], expected, atol=1e-4)
    # The network of the tasks finds its own parts beside it.
    inferencer = MultiTaskInferencer(files.config, files.checkpoint, 'cpu')
    (result,) = inferencer(IMAGE, people=Detector(*names, device='cpu', threshold=middle))
    assert result.people is not None and len(result.people) == len(found)
    assert list(result.people[0].tasks) == ['attribute', 'reid', 'pose', 'parsing']


def test_a_detector_of_something_else(tmp_path: Path) -> None:
    names = write_detector(tmp_path, ('car', 'cat', 'dog'))
    with pytest.raises(ValueError, match=r'none of the classes.*3 others: car, cat, dog'):
        Detector(*names, device='cpu')
    with pytest.raises(FileNotFoundError, match=r"--detector: no checkpoint 'none\.pth'"):
        Detector(names[0], 'none.pth')


@pytest.mark.parametrize('kind', ['lacking', 'other shape', 'text'])
def test_a_checkpoint_of_another_detector(tmp_path: Path, kind: str) -> None:
    """It would find people anywhere: mmdet leaves weights that do not fit as they began."""
    config, checkpoint = write_detector(tmp_path, ('person', 'car', 'dog'))
    content = torch.load(checkpoint, weights_only=False)
    if kind == 'lacking':
        del content['state_dict']['bbox_head.conv_cls.bias']
    else:
        content['state_dict']['bbox_head.conv_cls.bias'] = torch.zeros(7)
    torch.save(content, checkpoint)
    message = r"'.*detector\.pth' does not fit the config's model: 1 of .*bbox_head\.conv_cls\.bias"
    if kind == 'text':
        Path(checkpoint).write_text('no weights')
        message = r"detector\.pth' is no checkpoint"
    with pytest.raises(ValueError, match=message):
        Detector(config, checkpoint, device='cpu')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('no json', 'is no COCO file of images and annotations'),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', 'is no COCO file'),
        ('{"images": [{"id": 1}], "annotations": []}', "KeyError: 'file_name'"),
        ('{"images": [], "annotations": [{"image_id": 3, "bbox": [1, 2, 3, 4]}]}', 'KeyError: 3'),
        ('{"images": [], "annotations": [{"image_id": 3, "bbox": [1, 2]}]}', 'ValueError'),
    ],
)
def test_what_is_no_file_of_boxes(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / 'boxes.json').write_text(content)
    with pytest.raises(ValueError, match=message):
        BoxesFile(tmp_path / 'boxes.json')
    with pytest.raises(FileNotFoundError, match='--boxes'):
        BoxesFile(tmp_path / 'none.json')


def test_boxes_by_file_name(tmp_path: Path) -> None:
    images = [dict(id=3, file_name='scene.png'), dict(id=4, file_name='photos/scene.png')]
    annotations: list[dict[str, Any]] = [
        dict(image_id=3, bbox=[0, 0, 5, 5], category_id=1),
        dict(image_id=4, bbox=[10, 20, 30, 35], category_id=1, score=0.4),
        dict(image_id=4, bbox=[1, 2, 3, 4], category_id=1, iscrowd=1),
        dict(image_id=4, bbox=[1, 2, 3, 4], category_id=2),
    ]
    categories = [dict(id=1, name='person'), dict(id=2, name='dog')]
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    boxes = BoxesFile(file)
    assert boxes.image_id(FRAME) == 4  # the longest name that fits
    assert [(each.box, each.score) for each in boxes.find(FRAME)] == [((10, 20, 40, 55), 0.4)]
    assert BoxesFile(file, threshold=0.5).find(FRAME) == []
    with pytest.raises(ValueError, match=r"has no image 'other\.png'"):
        boxes.find(Frame('other', 'photos/other.png', 0, IMAGE))


@pytest.mark.parametrize(
    ('box', 'aspect', 'expected'),
    [
        ((40, 20, 60, 60), None, (37, 15, 63, 65)),
        ((40, 20, 60, 60), 1.0, (25, 15, 75, 65)),  # a square around the same middle
        ((0, 0, 20, 40), None, (0, 0, 23, 45)),  # within the picture
        ((-10, -10, 1, 1), None, (0, 0, 3, 3)),
        ((200, 0, 220, 40), None, None),
        ((40, 20, 40, 60), None, None),
        ((40, float('nan'), 50, 60), None, None),
    ],
)
def test_crops(box: Any, aspect: float | None, expected: Any) -> None:
    assert crop_around(box, (100, 80), aspect) == expected
