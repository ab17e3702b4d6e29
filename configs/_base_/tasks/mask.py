# The digit's mask on the synthetic set of digits on photographs (supplement C).
_dataset = dict(
    _scope_='mmseg',
    type='BaseSegDataset',
    metainfo=dict(classes=('photo', 'digit'), palette=[[0, 0, 0], [255, 255, 255]]),
    img_suffix='.png',
    seg_map_suffix='.png',
)
mask = dict(
    model=dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
            pad_val=0,
            seg_pad_val=255,
            size=(64, 64),
        ),
        # A 64 x 64 image leaves 2 x 2 positions in layer4, so the head reads layer2 and 3 as well.
        decode_head=dict(
            type='PSPHead',
            in_channels=[128, 256, 512],
            in_index=[1, 2, 3],
            input_transform='resize_concat',
            channels=64,
            pool_scales=(1, 2, 3, 6),
            dropout_ratio=0.1,
            num_classes=2,
            norm_cfg=dict(type='BN'),
            align_corners=False,
            # A sixth of the picture is digit, and mIoU counts both classes alike.
            loss_decode=dict(type='CrossEntropyLoss', class_weight=[0.25, 1.0]),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    train_dataloader=dict(
        batch_size=32,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            **_dataset,
            data_root='data/digits/train',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        batch_size=200,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            **_dataset,
            data_root='data/digits/test',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
    val_evaluator=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
)
del _dataset  # a name that other tasks use as well
