# NYUv2 with 40 classes, depth and normals, 795 training and 654 validation images (docs/data.md).
_dataset = dict(
    type='NYUv2',
    num_classes=40,
    data_root='data/nyud_mt',
    data_prefix=dict(
        img_path='images',
        seg_map_path='segmentation',
        depth_map_path='depth',
        normal_map_path='normals',
    ),
    suffixes=dict(
        img_path='.jpg', seg_map_path='.png', depth_map_path='.npy', normal_map_path='.npy'
    ),
    reduce_zero_label=True,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _dataset,
        ann_file='gt_sets/train.txt',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations'),
            dict(type='RandomZoom', scale=(640, 480), ratio_range=(1.0, 1.5)),
            dict(type='mmseg.RandomCrop', crop_size=(480, 640)),
            dict(type='RandomMirror', prob=0.5),
            dict(type='PackDenseInputs'),
        ],
    ),
)
_val = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        _dataset,
        ann_file='gt_sets/val.txt',
        test_mode=True,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='mmseg.Resize', scale=(640, 480)),
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
del _dataset, _val
