# Mask R-CNN with STA on COCO (Table 4): mmdet's own config and two lines.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
model = dict(type='mmgradsplit.STAMaskRCNN')
train_cfg = dict(
    _delete_=True,
    type='mmgradsplit.JointTrainLoop',
    max_epochs=12,
    allocator=dict(type='mmgradsplit.STA'),
)
