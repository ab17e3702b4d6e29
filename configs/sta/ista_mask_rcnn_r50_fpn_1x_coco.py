# Mask R-CNN with ISTA on COCO (Table 4): detection and masks of each image in turn.
_base_ = 'sta_mask_rcnn_r50_fpn_1x_coco.py'
train_cfg = dict(allocator=dict(type='mmgradsplit.ISTA'))
