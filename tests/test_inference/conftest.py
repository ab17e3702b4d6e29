"""A small network of four tasks of three toolboxes: config, checkpoint and pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

CONFIG = """
default_scope = 'mmgradsplit'
values = dict(mean=[120.0] * 3, std=[60.0] * 3)
codec = dict(type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=1)
model = dict(
    type='MultiTaskModel',
    backbone=dict(
        type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8,
        out_indices=(0, 1, 2, 3), norm_cfg=dict(type='GN', num_groups=2),
    ),
    tasks=dict(
        attribute=dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(to_rgb=True, **values),
            head=dict(type='mmgradsplit.MultiLabelConvHead', in_channels=64, conv_channels=8,
                      num_classes=3, loss=dict(type='CrossEntropyLoss', use_sigmoid=True)),
        ),
        reid=dict(
            type='mmpretrain.ImageClassifier',
            data_preprocessor=dict(to_rgb=True, **values),
            head=dict(type='mmgradsplit.ReIDHead', in_channels=64, conv_channels=8, num_classes=3),
        ),
        pose=dict(
            type='mmpose.TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor', bgr_to_rgb=True, **values),
            head=dict(type='HeatmapHead', in_channels=64, out_channels=2,
                      deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4), decoder=codec,
                      loss=dict(type='KeypointMSELoss', use_target_weight=True)),
            test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
        ),
        parsing=dict(
            type='mmseg.EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', bgr_to_rgb=True, **values),
            decode_head=dict(type='FCNHead', in_channels=64, channels=8, num_classes=4,
                             loss_decode=dict(type='CrossEntropyLoss'), align_corners=False),
            test_cfg=dict(mode='whole'),
        ),
    ),
)
small = dict(dataset=dict(pipeline=[dict(type='Resize', scale=(32, 64))]))
val_dataloader = dict(
    attribute=small,
    reid=small,
    pose=dict(dataset=dict(pipeline=[dict(type='TopdownAffine', input_size=(64, 64))])),
    parsing=dict(dataset=dict(pipeline=[dict(type='Resize', scale=(64, 64), keep_ratio=True)])),
)
"""
METAS = dict(
    attribute=dict(classes=('hat', 'coat', 'bag')),
    pose=dict(
        keypoint_id2name={0: 'head', 1: 'foot'},
        skeleton_links=[(0, 1)],
        flip_indices=[0, 1],
    ),
    parsing=dict(
        classes=('background', 'hair', 'coat', 'shoe'),
        palette=[[0, 0, 0], [200, 30, 30], [30, 200, 30], [30, 30, 200]],
    ),
)


@dataclass(frozen=True)
class Files:
    """What a person has: a config, a checkpoint, a folder of pictures, a video."""

    config: Path
    checkpoint: Path
    pictures: Path
    video: Path


@pytest.fixture(scope='session')
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp('inference')
    config, checkpoint = folder / 'small.py', folder / 'small.pth'
    config.write_text(CONFIG)
    # As training does, which also says the order of the tasks.
    cfg = prepare(config)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.2)
    meta = dict(dataset_meta=METAS, cfg=cfg.pretty_text)
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    pictures = folder / 'pictures'
    pictures.mkdir()
    generator = np.random.default_rng(0)
    for name, (height, width) in {'tall': (96, 40), 'wide': (50, 110)}.items():
        blocks = generator.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
        image = cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(pictures / f'{name}.png'), image)
    video = folder / 'clip.mp4'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'mp4v'), 5, (64, 48))
    for _ in range(3):
        writer.write(generator.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    yield Files(config, checkpoint, pictures, video)
    DefaultScope._instance_dict.clear()
