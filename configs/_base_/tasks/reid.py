# Person re-identification on Market-1501: "Conv-BN-FC" head, cross-entropy of the identities and
# batch-hard triplet loss on batches of 4 identities with 16 images (section 4.1, D.1).
# The head's widths are those with which the paper's #Param come out (docs/complexity.md).
_pipeline_head = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear'),
]
_dataset = dict(_scope_='mmpretrain', type='mmgradsplit.Market1501', data_root='data/market1501')
reid = dict(
    model=dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True,
        ),
        head=dict(
            type='mmgradsplit.ReIDHead',
            in_channels=2048,
            conv_channels=256,
            kernel_size=3,
            num_classes=751,
            loss=dict(type='CrossEntropyLoss'),
        ),
    ),
    train_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='mmgradsplit.RandomIdentitySampler', batch_size=64, num_instances=16),
        dataset=dict(
            **_dataset,
            split='train',
            pipeline=[
                *_pipeline_head,
                dict(type='RandomFlip', prob=0.5, direction='horizontal'),
                dict(type='RandomErasing', erase_prob=0.5, max_area_ratio=0.3),
                dict(type='PackInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            **_dataset,
            split='test',
            pipeline=[
                *_pipeline_head,
                dict(
                    type='PackInputs',
                    meta_keys=('img_path', 'person_id', 'camera_id', 'is_query'),
                ),
            ],
        ),
    ),
    val_evaluator=dict(type='ReIDMetric'),
)
del _dataset, _pipeline_head  # names that other tasks use as well
