# Dense prediction: ResNet-50 with dilation, stride 8, and a DeepLab-like ASPP head a task (STA,
# Tables 2 and 3). Cross-entropy is over the annotated pixels, as in MTI-Net's and MTAN's code;
# regression is over an image's, then over the images (STA, Equation 1). A config's `tasks` chooses.
_preprocessor = dict(
    type='mmseg.SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size_divisor=1,
)
_head = dict(
    type='mmseg.ASPPHead',
    in_channels=2048,
    in_index=3,
    channels=256,
    dilations=(1, 12, 24, 36),
    dropout_ratio=0.1,
    # STA may leave a head one sample, and a batch norm of the pooled image needs two.
    norm_cfg=dict(type='GN', num_groups=32),
    align_corners=False,
)
_regressor = dict(
    type='DenseRegressor',
    data_preprocessor=_preprocessor,
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# One value a pixel; mmseg wants a threshold wherever one channel could mean two classes.
_one = dict(_head, num_classes=1, out_channels=1, threshold=0.5)
model = dict(
    type='MultiTaskModel',
    backbone=dict(
        type='mmseg.ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
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
            decode_head=dict(
                _head,
                num_classes=40,
                loss_decode=dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True),
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        depth=dict(
            _regressor,
            decode_head=dict(
                type='RegressionHead',
                field='gt_depth_map',
                head=_one,
                loss=dict(type='mmdet.L1Loss'),
            ),
        ),
        disparity=dict(
            _regressor,
            decode_head=dict(
                type='RegressionHead',
                field='gt_disparity_map',
                head=_one,
                loss=dict(type='mmdet.L1Loss'),
            ),
        ),
        normal=dict(
            _regressor,
            decode_head=dict(
                type='RegressionHead',
                field='gt_normal_map',
                head=dict(_head, num_classes=3),
                loss=dict(type='mmpretrain.CosineSimilarityLoss', shift_factor=1.0),
            ),
        ),
    ),
)
del _preprocessor, _head, _regressor, _one
