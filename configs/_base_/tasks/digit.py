# The digit's class on the synthetic set of digits on photographs (supplement C).
_dataset = dict(_scope_='mmpretrain', type='CustomDataset', data_root='data/digits')
digit = dict(
    model=dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True,
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            in_channels=512,
            num_classes=10,
            loss=dict(type='CrossEntropyLoss'),
        ),
    ),
    train_dataloader=dict(
        batch_size=32,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            **_dataset,
            ann_file='digit_train.txt',
            data_prefix='train',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='PackInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        batch_size=200,
        num_workers=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            **_dataset,
            ann_file='digit_test.txt',
            data_prefix='test',
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
        ),
    ),
    val_evaluator=dict(type='mmpretrain.Accuracy'),
)
del _dataset  # a name that other tasks use as well
