# Mask R-CNN with STA on COCO (Table 4): mmdet's own config and what STA takes.
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../_base_/methods/sta.py']
model = dict(type='mmgradsplit.STAMaskRCNN')
train_cfg = dict(
    _base_.sta.train_cfg, _delete_=True, type='mmgradsplit.JointTrainLoop', max_epochs=12
)
