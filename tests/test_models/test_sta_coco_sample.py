"""Mask R-CNN with STA and ISTA trains on four real COCO images, and COCO's own metric judges it."""

from pathlib import Path

import numpy as np
import pytest
from fixtures_training import run, scalars
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT.parent / 'shared/data/coco_sample'
LOSSES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask')
ITERATIONS = dict(sta=16, ista=8)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason='needs ../shared/data/coco_sample (COCO images)')
@pytest.mark.parametrize('name', list(ITERATIONS))
def test_it_fits_coco_images(name: str, tmp_path: Path) -> None:
    cfg = Config.fromfile(ROOT / 'configs/sta/mask_rcnn_coco_sample.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(SAMPLE)
        (resize,) = (step for step in loader.dataset.pipeline if step['type'] == 'Resize')
        resize['scale'] = (160, 120)
    cfg.val_evaluator.ann_file = str(SAMPLE / 'test_coco.json')
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.train_cfg.update(max_epochs=1, iters_per_epoch=ITERATIONS[name])
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.log_processor.window_size = 1
    cfg.visualizer.pop('name')  # mmengine would go on with the visualizer of that name
    wrapper = run(cfg, tmp_path, method=name).optim_wrapper
    assert wrapper.base.inner_count == 16

    lines = scalars(tmp_path)
    losses = {key: [line[key] for line in lines if key in line] for key in LOSSES}
    assert all(np.isfinite(values).all() for values in losses.values())
    # Of the RPN and the masks, which fall from the first step on; others wait for good proposals.
    for key in ('loss_rpn_cls', 'loss_mask'):
        first, last = np.mean(losses[key][:3]), np.mean(losses[key][-3:])
        assert last < 0.9 * first, (key, losses[key])
    for kind in ('bbox', 'segm'):
        assert 0 <= lines[-1][f'coco/{kind}_mAP'] <= 1
