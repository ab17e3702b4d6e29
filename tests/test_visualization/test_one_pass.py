"""One image for all tasks: the backbone runs once, and each task says what it says alone."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmgradsplit.functional import letterbox
from mmgradsplit.registry import MODELS
from mmgradsplit.visualization import (
    input_divisor,
    make_sample,
    predict_batch,
    predict_image,
    register_sample_maker,
)

CONFIG = Path(__file__).parents[2] / 'configs' / 'gradsplit' / 'r18gn_4task.py'
IMAGE_SIZE, INPUT_SIZE = (50, 90), (64, 128)
RESULTS = dict(
    attribute=lambda sample: sample.pred_score,
    reid=lambda sample: sample.embedding,
    pose=lambda sample: sample.pred_instances.keypoints,
    parsing=lambda sample: sample.seg_logits.data,
)
SMALL_HEAD = dict(in_channels=64, conv_channels=16)
DETECTOR = dict(
    type='mmdet.FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    neck=dict(
        type='FPN', in_channels=[8, 16, 32, 64], out_channels=16, start_level=1, num_outs=5,
        add_extra_convs='on_output',
    ),
    bbox_head=dict(type='FCOSHead', num_classes=2, in_channels=16, feat_channels=16,
                   stacked_convs=1, norm_cfg=None),
    test_cfg=dict(nms_pre=20, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5),
                  max_per_img=5),
)  # fmt: skip


def build(**options: Any) -> Any:
    """The four-task model of the configs, small."""
    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmgradsplit')
    cfg.model.backbone.update(base_channels=8, stem_channels=8, init_cfg=None)
    cfg.model.backbone.norm_cfg.num_groups = 2
    cfg.model.tasks.attribute.head.update(SMALL_HEAD)
    cfg.model.tasks.reid.head.update(SMALL_HEAD)
    cfg.model.tasks.pose.head.update(
        in_channels=64,
        deconv_out_channels=(16, 16, 16),
        decoder=dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2),
    )
    cfg.model.tasks.parsing.decode_head.update(in_channels=64, channels=16)
    cfg.merge_from_dict({f'model.tasks.{key}': value for key, value in options.items()})
    torch.manual_seed(0)
    return MODELS.build(cfg.model)


@pytest.fixture
def image() -> np.ndarray:
    width, height = IMAGE_SIZE
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def count_passes(model: nn.Module) -> list[torch.Size]:
    """A list that grows with each pass over the backbone."""
    passes: list[torch.Size] = []
    model.backbone.register_forward_pre_hook(lambda _, args: passes.append(args[0].shape))
    return passes


def test_all_tasks_take_one_backbone_pass(image: np.ndarray) -> None:
    model = build()
    passes = count_passes(model)
    predictions = predict_image(model, image, INPUT_SIZE)
    assert list(predictions) == list(RESULTS)
    assert passes == [(1, 3, 128, 64)]


def test_a_task_says_what_it_says_alone(image: np.ndarray) -> None:
    model = build(**{'pose.test_cfg.flip_test': False})
    together = predict_image(model, image, INPUT_SIZE)
    # Normalised here by hand: RGB, mean, std; below, the whole numbers nearest to the mean.
    placement = letterbox(IMAGE_SIZE, INPUT_SIZE)
    assert placement.content == (64, 115)
    pixels = cv2.resize(image, (64, 115), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    pixels = np.concatenate([pixels, np.full((13, 64, 3), (124, 116, 104))])
    normalised = (pixels - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]
    inputs = torch.tensor(normalised.transpose(2, 0, 1)[None], dtype=torch.float32)
    model.eval()
    for task in RESULTS:
        sample = make_sample(model.tasks[task], placement)
        with torch.no_grad():
            (alone,) = model(inputs, [sample], mode='predict', task=task)
        get = RESULTS[task]
        ours, theirs = torch.as_tensor(get(together[task])), torch.as_tensor(get(alone))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_predictions_are_in_the_pixels_of_the_image(image: np.ndarray) -> None:
    model = build()
    width, height = IMAGE_SIZE
    with torch.no_grad():
        # A heatmap that is a spike at row 24, column 4 of 32 x 16.
        spike = torch.zeros(1, 16, 32, 16)
        spike[..., 24, 4] = 1
        model.tasks['pose'].head.forward = lambda _: spike
        predictions = predict_image(model, image, INPUT_SIZE)
    keypoints = predictions['pose'].pred_instances.keypoints
    # Pixel (16, 96) of the input, whose 64 x 115 upper left pixels show the image.
    expected = np.array([16.5 / 64 * width, 96.5 / 115 * height]) - 0.5
    np.testing.assert_allclose(keypoints[0], np.tile(expected, (16, 1)), atol=1e-4)
    assert predictions['parsing'].pred_sem_seg.data.shape == (1, height, width)


def test_a_detector_is_a_task_too(image: np.ndarray) -> None:
    model = build(people=DETECTOR)
    passes = count_passes(model)
    instances = predict_image(model, image, INPUT_SIZE)['people'].pred_instances
    assert len(passes) == 1
    width, height = IMAGE_SIZE
    assert len(instances) > 0
    assert (instances.bboxes.min() >= 0) and (instances.bboxes[:, 2].max() <= width + 1e-3)
    assert instances.bboxes[:, 3].max() <= height + 1e-3


def test_settings_and_modes_are_restored(image: np.ndarray) -> None:
    model = build().train()
    model.tasks['reid'].eval()
    before = [module.training for module in model.modules()]
    predict_image(model, image, INPUT_SIZE)
    assert [module.training for module in model.modules()] == before
    assert model.tasks['pose'].test_cfg['flip_test'] is True


def test_size_is_that_of_the_model_or_of_the_image(image: np.ndarray) -> None:
    model = build()
    passes = count_passes(model)
    predict_image(model, cv2.resize(image, (96, 64)))
    model.input_size = (32, 64)
    predict_image(model, image)
    assert [tuple(shape[2:]) for shape in passes] == [(64, 96), (64, 32)]


def test_another_normalisation_is_an_error(image: np.ndarray) -> None:
    model = build(**{'pose.data_preprocessor.mean': [0.0, 0.0, 0.0]})
    with pytest.raises(ValueError, match=r'model\.tasks\.pose\.data_preprocessor.*mean \[0\.0'):
        predict_image(model, image, INPUT_SIZE)


def test_channels_in_another_order_are_an_error(image: np.ndarray) -> None:
    model = build(**{'reid.data_preprocessor.to_rgb': False})
    with pytest.raises(ValueError, match=r'model\.tasks\.reid\.data_preprocessor.*channel order'):
        predict_image(model, image, INPUT_SIZE)


def test_files_are_checked(tmp_path: Path) -> None:
    model = build()
    with pytest.raises(FileNotFoundError, match=r'nowhere\.png'):
        predict_image(model, 'nowhere.png')
    broken = tmp_path / 'broken.png'
    broken.write_text('no image')
    with pytest.raises(ValueError, match=r'broken\.png'):
        predict_image(model, broken)
    with pytest.raises(ValueError, match=r'H x W x C'):
        predict_image(model, np.zeros((2, 8, 8, 3), np.uint8))


def test_only_the_tasks_that_are_asked_for(image: np.ndarray) -> None:
    model = build()
    ran: list[str] = []
    for name, task in model.tasks.items():
        task.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    predictions = predict_batch(model, [image, image[:40]], INPUT_SIZE, ['parsing', 'reid'])
    assert [list(each) for each in predictions] == [['reid', 'parsing']] * 2
    assert ran == ['reid', 'parsing']
    assert predictions[1]['parsing'].pred_sem_seg.data.shape == (1, 40, 50)
    with pytest.raises(KeyError, match=r"no task 'pars'.*did you mean 'parsing'"):
        predict_batch(model, [image], INPUT_SIZE, ['pars'])


def test_sizes_are_multiples_of_what_the_preprocessors_pad_to(image: np.ndarray) -> None:
    model = build(people=dict(DETECTOR, data_preprocessor=dict(
        DETECTOR['data_preprocessor'], pad_size_divisor=48)))  # fmt: skip
    assert input_divisor(model) == 48
    passes = count_passes(model)
    predict_image(model, image, (64, 128))
    predict_image(model, image)
    assert [tuple(shape[2:]) for shape in passes] == [(144, 96), (96, 96)]


def test_a_toolbox_can_be_added() -> None:
    class Foreign(nn.Module):
        pass

    Foreign.__module__ = 'foreign_toolbox.models'
    with pytest.raises(KeyError, match='register_sample_maker'):
        make_sample(Foreign(), letterbox(IMAGE_SIZE, INPUT_SIZE))
    register_sample_maker('foreign_toolbox')(lambda placement: placement.content)
    assert make_sample(Foreign(), letterbox(IMAGE_SIZE, INPUT_SIZE)) == (64, 115)
