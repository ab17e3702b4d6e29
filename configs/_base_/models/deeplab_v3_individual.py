# DeepLabV3 with an ASPP of its own for each task (AMTL, Table B): ResNet-50 with dilation, of
# stride 8, torchvision's ASPP, then a 3x3 and a 1x1 convolution. Losses are means over the
# annotated pixels of a batch, and labels are smoothed by 0.1, as in its code. A config's `tasks`
# chooses.
_preprocessor = dict(
    type='mmseg.SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size_divisor=1,
)
_neck = dict(type='mmgradsplit.ASPPNeck', in_channels=2048)
_head = dict(
    type='mmseg.FCNHead',
    in_channels=256,
    in_index=0,
    channels=256,
    num_convs=1,
    kernel_size=3,
    concat_input=False,
    dropout_ratio=0.0,
    norm_cfg=dict(type='BN'),
    align_corners=False,
)
_regressor = dict(
    type='DenseRegressor',
    data_preprocessor=_preprocessor,
    neck=_neck,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
model = dict(
    type='MultiTaskModel',
    backbone=dict(
        type='mmseg.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(3,),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        norm_cfg=dict(type='BN'),
        norm_eval=False,
        style='pytorch',
        contract_dilation=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    tasks=dict(
        seg=dict(
            type='mmseg.EncoderDecoder',
            data_preprocessor=_preprocessor,
            neck=_neck,
            decode_head=dict(
                _head,
                num_classes=40,
                loss_decode=dict(type='mmgradsplit.SmoothCrossEntropyLoss', label_smoothing=0.1),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        depth=dict(
            _regressor,
            decode_head=dict(
                type='RegressionHead',
                field='gt_depth_map',
                average='pixel',
                # One value a pixel; mmseg wants a threshold wherever one channel could mean two
                # classes.
                head=dict(_head, num_classes=1, out_channels=1, threshold=0.5),
                loss=dict(type='mmdet.L1Loss'),
            ),
        ),
        normal=dict(
            _regressor,
            decode_head=dict(
                type='RegressionHead',
                field='gt_normal_map',
                average='pixel',
                head=dict(_head, num_classes=3),
                loss=dict(type='mmpretrain.CosineSimilarityLoss', shift_factor=1.0),
            ),
        ),
    ),
)
del _preprocessor, _neck, _head, _regressor
