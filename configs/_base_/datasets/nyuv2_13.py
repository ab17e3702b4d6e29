# NYUv2 with 13 classes, depth and normals, as arrays of 288 x 384 (docs/data.md).
_prefix = dict(
    img_path='image', seg_map_path='label', depth_map_path='depth', normal_map_path='normal'
)
_dataset = dict(
    type='NYUv2',
    num_classes=13,
    data_prefix=_prefix,
    suffixes=dict.fromkeys(_prefix, '.npy'),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _dataset,
        data_root='data/nyuv2/train',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations'),
            dict(type='RandomZoom', scale=(384, 288), ratio_range=(1.0, 1.5)),
            dict(type='mmseg.RandomCrop', crop_size=(288, 384)),
            dict(type='RandomMirror', prob=0.5),
            dict(type='PackDenseInputs'),
        ],
    ),
)
_val = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _dataset,
        data_root='data/nyuv2/val',
        test_mode=True,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations'),
            dict(type='PackDenseInputs'),
        ],
    ),
)
val_dataloader = dict(seg=_val, depth=_val, normal=_val)
test_dataloader = val_dataloader
val_evaluator = dict(
    seg=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
    depth=dict(type='DepthErrorMetric'),
    normal=dict(type='NormalErrorMetric'),
)
test_evaluator = val_evaluator
del _prefix, _dataset, _val
