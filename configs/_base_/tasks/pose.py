# Human pose on MPII: heatmap head of Simple Baselines, mean squared error (section 4.1, D.1).
# The head's widths are those with which the paper's #Param come out (docs/complexity.md). Layer4
# keeps the size of its input, so the heatmap has half the size of the image, not a quarter.
_codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(128, 128), sigma=4)
_dataset = dict(
    _scope_='mmpose',
    type='mmgradsplit.MPII',
    data_root='data/mpii',
    data_mode='topdown',
    data_prefix=dict(img='images/'),
)
pose = dict(
    model=dict(
        type='mmpose.TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        head=dict(
            type='HeatmapHead',
            in_channels=2048,
            out_channels=16,
            deconv_out_channels=(192, 288, 320),
            loss=dict(type='KeypointMSELoss', use_target_weight=True),
            decoder=_codec,
        ),
        # The accuracy that mmpose logs in training is found in NumPy, from all heatmaps of a batch.
        train_cfg=dict(compute_acc=False),
        test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True),
    ),
    train_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            **_dataset,
            ann_file='annotations/mpii_train.json',
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='RandomFlip', direction='horizontal'),
                dict(type='mmgradsplit.Straighten'),
                dict(
                    type='RandomBBoxTransform',
                    shift_prob=0.0,
                    scale_factor=(0.75, 1.25),
                    rotate_factor=40.0,
                ),
                dict(type='TopdownAffine', input_size=_codec['input_size']),
                dict(type='GenerateTarget', encoder=_codec),
                dict(type='PackPoseInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
        dataset=dict(
            **_dataset,
            ann_file='annotations/mpii_val.json',
            headbox_file='annotations/mpii_gt_val.mat',
            test_mode=True,
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='TopdownAffine', input_size=_codec['input_size']),
                dict(type='PackPoseInputs'),
            ],
        ),
    ),
    val_evaluator=dict(type='mmpose.MpiiPCKAccuracy'),
)
del _codec, _dataset  # names that other tasks use as well
