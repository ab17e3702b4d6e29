"""AMTL's configs with a tiny network, on the tiny data of ``fixtures_dense``."""

from pathlib import Path
from typing import Any

from fixtures_dense import ROOT, SIZE
from mmengine.config import Config


def deeplab_config(name: str, data: Path, work_dir: Path, **options: Any) -> Config:
    """A config of configs/amtl on DeepLabV3+ with ResNet-50, for two epochs of one batch.

    Args:
        name: Name of the config.
        data: Folder that ``write_nyud`` wrote.
        work_dir: Of the run.
        **options: Values for keys of the config, with ``__`` for a dot.
    """
    cfg = Config.fromfile(ROOT / 'configs' / 'amtl' / f'{name}.py')
    backbone = dict(depth=18, base_channels=4, stem_channels=4, init_cfg=None)
    low_level = dict(in_channels=8, channels=8)
    neck = dict(in_channels=32, channels=8, dilations=(1, 2), low_level=low_level)
    head = dict(in_channels=[8, 8], channels=8)
    seg, regressed = dict(decode_head=dict(head, num_classes=13)), dict(decode_head=dict(head=head))
    tasks: dict[str, dict] = dict(seg=seg, depth=regressed, normal=regressed)
    if 'individual' in name:
        trunk: dict[str, Any] = backbone
        tasks = {task: dict(model, neck=neck) for task, model in tasks.items()}
    else:
        trunk = dict(backbone=backbone, neck=neck)
    steps = [dict(step) for step in cfg.train_dataloader.dataset.pipeline]
    steps[2].update(scale=SIZE[::-1])
    steps[3].update(crop_size=SIZE)
    small = dict(num_workers=0, persistent_workers=False)
    source = dict(data_root=str(data), num_classes=13)
    validation = [dict(step) for step in cfg.val_dataloader.seg.dataset.pipeline]
    validation[1].update(scale=SIZE[::-1])
    loader = dict(small, dataset=dict(source, pipeline=validation))
    cfg.merge_from_dict(
        {
            'work_dir': str(work_dir),
            'model': dict(backbone=trunk, tasks=tasks),
            'train_dataloader': dict(small, batch_size=3, dataset=dict(source, pipeline=steps)),
            'val_dataloader': dict.fromkeys(tasks, loader),
            'test_dataloader': dict.fromkeys(tasks, loader),
            'train_cfg': dict(max_epochs=2),
            'param_scheduler': [],
            'default_hooks': dict(logger=dict(interval=1)),
            'vis_backends': [],
            **{key.replace('__', '.'): value for key, value in options.items()},
        }
    )
    return cfg
