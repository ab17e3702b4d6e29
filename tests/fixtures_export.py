"""Networks of all kinds that can be exported, and their checkpoints."""

from pathlib import Path
from typing import Any

import torch
from fixtures_dense import write_nyud
from fixtures_training import GN, write_data
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint

from mmgradsplit.apis.preparation import prepare
from mmgradsplit.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]


def small(cfg: Config) -> Config:
    """The detector of docs/add_a_task.md beside pose, on the tiny backbone."""
    detection = Config.fromfile(ROOT / 'configs/_base_/tasks/detection.py').detection
    model = detection.model
    model.neck.in_channels, model.neck.out_channels = [8, 16, 32, 64], 8
    model.bbox_head.in_channels = model.bbox_head.feat_channels = 8
    cfg.model.tasks.detection = model
    cfg.model.backbone.out_indices = (0, 1, 2, 3)
    cfg.model.tasks.pose.head.in_channels = 64
    for key in ('train_dataloader', 'val_dataloader', 'val_evaluator'):
        cfg[key].detection = detection[key]
    return cfg


def two_stages(cfg: Config) -> Config:
    """As :func:`small`, with mmdet's own Mask R-CNN in place of the detector of one stage."""
    cfg = small(cfg)
    model = Config.fromfile(ROOT / 'configs/sta/mask_rcnn_coco_sample.py').model
    model.type = 'mmdet.MaskRCNN'
    model.pop('backbone')
    model.neck.update(in_channels=[8, 16, 32, 64], out_channels=8)
    model.rpn_head.update(in_channels=8, feat_channels=8)
    for key, width in (('bbox', 'fc_out_channels'), ('mask', 'conv_out_channels')):
        model.roi_head[f'{key}_roi_extractor'].out_channels = 8
        model.roi_head[f'{key}_head'].update({'in_channels': 8, width: 8})
    cfg.model.tasks.detection = model
    return cfg


def task_specific_layer4(cfg: Config) -> Config:
    """R50-L4's form: three shared stages, and the fourth as the neck of each task."""
    backbone = cfg.model.backbone
    backbone.num_stages, backbone.out_indices = 3, (0, 1, 2)
    backbone.strides, backbone.dilations = (1, 2, 2), (1, 1, 1)
    for task in cfg.model.tasks.values():
        task.neck = dict(
            type='mmgradsplit.ResNetStage', depth=18, base_channels=8, stride=1, norm_cfg=GN
        )
    return cfg


def with_norms_by_task(cfg: Config) -> Config:
    """Batch norms of each task's own."""
    cfg.model.backbone.norm_cfg = dict(type='mmgradsplit.TaskNorm', eps=1e-3)
    return cfg


def alike(cfg: Config) -> Config:
    """All tasks read RGB, so that they can share an input."""
    for task in cfg.model.tasks.values():
        preprocessor = task.data_preprocessor
        for key in ('to_rgb', 'bgr_to_rgb'):
            preprocessor.pop(key, None)
        preprocessor['to_rgb' if 'Cls' in preprocessor.type else 'bgr_to_rgb'] = True
    return cfg


def write_all_data(root: Path) -> Path:
    """The tiny data sets of the four tasks, and drawn scenes in ``nyud``."""
    write_data(root)
    write_nyud(root / 'nyud')
    return root


def save_network(cfg: Config, file: Path) -> Any:
    """A checkpoint as training writes it, with weights and statistics that no start has."""
    cfg = prepare(cfg, file.parent)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    torch.manual_seed(5)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.1 + 0.05)
    meta = dict(
        cfg=cfg.pretty_text, dataset_meta={task: dict(classes=('a', 'b')) for task in model.tasks}
    )
    save_checkpoint(dict(meta=meta, state_dict=model.state_dict()), str(file))
    return model.eval()
