# Mask R-CNN with ISTA on four COCO images. An iteration has two steps: half the epochs of STA.
_base_ = ['mask_rcnn_coco_sample.py', '../_base_/methods/ista.py']
train_cfg = dict(_base_.ista.train_cfg, max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=10),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=10, end=100),
]
default_hooks = dict(checkpoint=dict(interval=4))
