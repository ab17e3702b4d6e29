# Mask R-CNN with STA on Cityscapes (Table 4): as many steps as the baseline (section 4.4), which
# are detectron2's 24,000 of 8 images, 8 epochs here; the rate falls after 18,000, which are 6.
_base_ = ['mmdet::cityscapes/mask-rcnn_r50_fpn_1x_cityscapes.py', '../_base_/methods/sta.py']
model = dict(type='mmgradsplit.STAMaskRCNN')
train_cfg = dict(
    _base_.sta.train_cfg, _delete_=True, type='mmgradsplit.JointTrainLoop', max_epochs=8
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=8, by_epoch=True, milestones=[6], gamma=0.1),
]
