# Mask R-CNN with ISTA on COCO (Table 4). An iteration has two steps: half the epochs of STA, and
# the rate falls after 4 and 5 of them, for STA's 8 and 11.
_base_ = ['mask_rcnn_r50_fpn_1x_coco.py', '../_base_/methods/ista.py']
train_cfg = dict(_base_.ista.train_cfg, max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=6, by_epoch=True, milestones=[4, 5], gamma=0.1),
]
