"""The pose task reads five real MPII images and fits them."""

from pathlib import Path

import mmengine
import numpy as np
import pytest
from mmengine.config import Config
from scipy.io import savemat

from mmgradsplit.apis import train

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT.parent / 'shared' / 'data' / 'mpii_sample'
HEAD_TOP, UPPER_NECK = 9, 8
NETWORK_WIDTH, INPUT, HEATMAP, ITERATIONS = 32, (128, 128), (32, 32), 300


def write_headboxes(annotations: list[dict], path: Path) -> None:
    """Head boxes as MPII has them: 0.6 of the diagonal is the head size that PCKh refers to."""
    boxes = np.zeros((2, 2, len(annotations)))
    for i, person in enumerate(annotations):
        top, neck = (np.array(person['joints'][j]) for j in (HEAD_TOP, UPPER_NECK))
        boxes[0, :, i], boxes[1, :, i] = top, top + (neck - top) / 0.6
    savemat(path, dict(headboxes_src=boxes))


@pytest.mark.skipif(not SAMPLE.is_dir(), reason='needs ../shared/data/mpii_sample (real images)')
def test_pose_fits_real_images(tmp_path: Path) -> None:
    write_headboxes(mmengine.load(SAMPLE / 'test_mpii.json'), tmp_path / 'headboxes.mat')
    cfg = Config.fromfile(ROOT / 'configs/gradsplit/r18gn_4task.py')
    cfg.tasks = ['pose']
    cfg.model.backbone.update(base_channels=NETWORK_WIDTH, stem_channels=NETWORK_WIDTH)
    cfg.model.backbone.strides = (1, 2, 2, 2)
    cfg.model.backbone.init_cfg = None
    codec = dict(type='MSRAHeatmap', input_size=INPUT, heatmap_size=HEATMAP, sigma=2)
    cfg.model.tasks.pose.head.update(
        in_channels=8 * NETWORK_WIDTH,
        deconv_out_channels=(64, 64, 64),
        decoder=codec,
        # From random weights, the published initialisation stays at empty heatmaps for long.
        loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=1000.0),
        init_cfg=[],  # torch's own
    )
    for loader in (cfg.train_dataloader.pose, cfg.val_dataloader.pose):
        loader.update(batch_size=5, num_workers=0)
        dataset = loader.dataset
        dataset.update(data_root=str(SAMPLE), ann_file='test_mpii.json', data_prefix=dict(img=''))
        target = [dict(type='GenerateTarget', encoder=codec)]
        # The very pictures are to be fitted, so they are not augmented.
        dataset.pipeline = [
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=INPUT),
            *([] if 'headbox_file' in dataset else target),
            dict(type='PackPoseInputs'),
        ]
    cfg.val_dataloader.pose.dataset.headbox_file = str(tmp_path / 'headboxes.mat')
    cfg.model.tasks.pose.test_cfg.flip_test = False  # no flipped picture was seen
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.optim_wrapper.optimizer = dict(type='Adam', lr=1e-3)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=ITERATIONS, by_epoch=False)]
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=ITERATIONS, val_begin=1, val_interval=1)
    cfg.visualizer.vis_backends = []
    runner = train(cfg, work_dir=tmp_path / 'run')
    assert runner.message_hub.get_scalar('val/pose/PCK').current() > 95
