# Mask R-CNN with STA on Cityscapes (Table 4): half the steps of mmdet's config, as in the paper.
_base_ = ['mmdet::cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py', '../_base_/methods/sta.py']
model = dict(type='mmgradsplit.STAMaskRCNN')
train_cfg = dict(
    _base_.sta.train_cfg, _delete_=True, type='mmgradsplit.JointTrainLoop', max_epochs=4
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1),
]
