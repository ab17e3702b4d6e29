# Pedestrian attributes on PA-100K: "Conv-FC" head, binary cross-entropy (section 4.1, D.1).
# The head's widths are those with which the paper's #Param come out (docs/complexity.md).
_pipeline_head = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 256), interpolation='bilinear'),
]
_dataset = dict(_scope_='mmpretrain', type='mmgradsplit.PA100K', data_root='data/pa100k')
attribute = dict(
    model=dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            num_classes=26,
            to_onehot=True,
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True,
        ),
        head=dict(
            type='mmgradsplit.MultiLabelConvHead',
            in_channels=2048,
            conv_channels=320,
            num_classes=26,
            loss=dict(type='CrossEntropyLoss', use_sigmoid=True),
        ),
    ),
    train_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
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
        dataset=dict(**_dataset, split='test', pipeline=[*_pipeline_head, dict(type='PackInputs')]),
    ),
    val_evaluator=dict(type='AttributeMetric'),
)
del _dataset, _pipeline_head  # names that other tasks use as well
