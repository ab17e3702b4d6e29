# Mask R-CNN with ISTA on Cityscapes (Table 4). An iteration has two steps: half the epochs of STA.
_base_ = ['mask_rcnn_r50_fpn_1x_cityscapes.py', '../_base_/methods/ista.py']
train_cfg = dict(_base_.ista.train_cfg, max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1),
]
