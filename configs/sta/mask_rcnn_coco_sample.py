# Mask R-CNN with STA fits four COCO images of persons from random weights, in minutes on a CPU.
# data/coco_sample holds the images and test_coco.json.
_base_ = 'mask_rcnn_r50_fpn_1x_coco.py'
data_root = 'data/coco_sample/'
_norm = dict(type='GN', num_groups=8)
_width = 64
model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        stem_channels=32,
        frozen_stages=-1,
        norm_cfg=_norm,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=_width, norm_cfg=_norm),
    rpn_head=dict(in_channels=_width, feat_channels=_width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=_width),
        bbox_head=dict(in_channels=_width, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(out_channels=_width),
        mask_head=dict(in_channels=_width, conv_out_channels=_width, norm_cfg=_norm, num_classes=1),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)

_resize = dict(type='Resize', scale=(320, 240), keep_ratio=True)
_dataset = dict(
    data_root=data_root,
    ann_file='test_coco.json',
    data_prefix=dict(img=''),
    metainfo=dict(classes=('person',), palette=[(220, 20, 60)]),
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    batch_sampler=None,
    dataset=dict(
        **_dataset,
        # No flip: these very images are to be fitted.
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            _resize,
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        **_dataset,
        pipeline=[
            dict(type='LoadImageFromFile'),
            _resize,
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'test_coco.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=8, iters_per_epoch=25)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=20, end=200),
]
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=8, save_optimizer=False))
randomness = dict(seed=0)
del _norm, _width, _resize, _dataset
