# Human parsing on LIP: PSP head, pixel-wise cross-entropy (section 4.1, D.1).
# The head's widths are those with which the paper's #Param come out (docs/complexity.md).
_dataset = dict(_scope_='mmseg', type='LIPDataset', data_root='data/lip')
parsing = dict(
    model=dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255,
            size=(288, 288),
        ),
        decode_head=dict(
            type='mmgradsplit.ReducedPSPHead',
            in_channels=2048,
            in_index=-1,
            channels=512,
            pool_scales=(1, 2, 3, 6),
            dropout_ratio=0.1,
            num_classes=20,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    train_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            **_dataset,
            data_prefix=dict(img_path='train_images', seg_map_path='train_segmentations'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(
                    type='RandomResize', scale=(288, 288), ratio_range=(0.75, 1.5), keep_ratio=False
                ),
                dict(type='RandomCrop', crop_size=(288, 288)),
                # A mirrored left arm is a right arm; so for legs and shoes.
                dict(
                    type='RandomFlip',
                    prob=0.5,
                    swap_seg_labels=[(14, 15), (16, 17), (18, 19)],
                ),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            **_dataset,
            data_prefix=dict(img_path='val_images', seg_map_path='val_segmentations'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(288, 288), keep_ratio=False),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
    val_evaluator=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
)
del _dataset  # a name that other tasks use as well
