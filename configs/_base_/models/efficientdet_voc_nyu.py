# Boxes, segmentation and depth on the features of EfficientDet (AMTL, supplement C.2):
# EfficientNetV2-S, a BiFPN of two stages and 64 channels with levels of stride 16, 32 and 64, both
# shared, and two inverted residual blocks of 64 channels a task. What C.2 does not say is
# EfficientDet's (anchors) or MobileNetV2's (blocks), and the losses are the official code's: focal
# loss, ten times the complete IoU loss, cross-entropy, L1. Its matching (ATSS) and its weighting of
# the focal loss by IoU are not here.
_values = dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True)  # of the ImageNet weights
# Zero padding to the right and below; neither labels nor depth are trained on there. Of all tasks,
# for samples of all data sets.
_square = dict(
    type='mmgradsplit.JoinedDataPreprocessor',
    **_values,
    pad_val=0,
    seg_pad_val=255,
    size=(640, 640),
    test_cfg=dict(size=(640, 640)),
)
_head = dict(
    type='mmgradsplit.InvertedResidualDecodeHead',
    in_channels=[64, 64, 64],
    in_index=[0, 1, 2],
    input_transform='resize_concat',  # to the first, the largest
    channels=64,
    num_blocks=2,
    dropout_ratio=0.0,
    norm_cfg=dict(type='BN'),
    act_cfg=dict(type='ReLU6'),
    align_corners=False,
)
model = dict(
    type='MultiTaskModel',
    backbone=dict(
        type='BackboneWithNeck',
        backbone=dict(
            type='mmpretrain.EfficientNetV2',
            arch='s',
            out_indices=(5, 6),
            drop_path_rate=0.2,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.openmmlab.com/mmclassification/v0/efficientnetv2/'
                'efficientnetv2-s_3rdparty_in1k_20221220-f0eaff9d.pth',
                prefix='backbone',
            ),
        ),
        neck=dict(type='BiFPN', in_channels=[160, 256], channels=64, num_stages=2, num_outs=3),
    ),
    tasks=dict(
        detection=dict(
            type='mmdet.SingleStageDetector',
            data_preprocessor=_square,
            bbox_head=dict(
                type='mmgradsplit.InvertedResidualAnchorHead',
                num_classes=20,
                in_channels=64,
                num_blocks=2,
                anchor_generator=dict(
                    type='AnchorGenerator',
                    octave_base_scale=4,
                    scales_per_octave=3,
                    ratios=[0.5, 1.0, 2.0],
                    strides=[16, 32, 64],
                    center_offset=0.5,
                ),
                bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
                loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25),
                reg_decoded_bbox=True,
                loss_bbox=dict(type='CIoULoss', loss_weight=10.0),
            ),
            train_cfg=dict(
                assigner=dict(
                    type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0
                ),
                sampler=dict(type='PseudoSampler'),
                allowed_border=-1,
                pos_weight=-1,
            ),
            test_cfg=dict(
                nms_pre=1000,
                min_bbox_size=0,
                score_thr=0.05,
                nms=dict(type='nms', iou_threshold=0.5),
                max_per_img=100,
            ),
        ),
        seg=dict(
            type='mmseg.EncoderDecoder',
            data_preprocessor=_square,
            decode_head=dict(
                _head,
                num_classes=21,
                loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        depth=dict(
            type='DenseRegressor',
            data_preprocessor=_square,
            decode_head=dict(
                type='RegressionHead',
                field='gt_depth_map',
                head=dict(_head, num_classes=1, out_channels=1, threshold=0.5),
                loss=dict(type='mmdet.L1Loss'),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
    ),
)
del _values, _square, _head
