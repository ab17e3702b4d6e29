# Cityscapes with 19 classes and disparity, at half its size, from its own folders (docs/data.md).
_dataset = dict(
    type='CityscapesScenes',
    data_root='data/cityscapes',
    suffixes=dict(
        img_path='_leftImg8bit.png',
        seg_map_path='_gtFine_labelIds.png',
        disparity_map_path='_disparity.png',
    ),
)
# A disparity of d pixels is stored as 256 d + 1.
_annotations = dict(type='LoadDenseAnnotations', disparity_offset=-1.0, disparity_factor=1 / 256)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        _dataset,
        data_prefix=dict(
            img_path='leftImg8bit/train',
            seg_map_path='gtFine/train',
            disparity_map_path='disparity/train',
        ),
        pipeline=[
            dict(type='LoadImage'),
            _annotations,
            dict(type='RandomZoom', scale=(1024, 512), ratio_range=(1.0, 1.5)),
            dict(type='mmseg.RandomCrop', crop_size=(512, 1024)),
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
        data_prefix=dict(
            img_path='leftImg8bit/val',
            seg_map_path='gtFine/val',
            disparity_map_path='disparity/val',
        ),
        test_mode=True,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='mmseg.Resize', scale=(1024, 512)),
            _annotations,
            dict(type='PackDenseInputs'),
        ],
    ),
)
val_dataloader = dict(seg=_val, disparity=_val)
test_dataloader = val_dataloader
val_evaluator = dict(
    seg=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
    disparity=dict(type='DepthErrorMetric', field='gt_disparity_map'),
)
test_evaluator = val_evaluator
del _dataset, _annotations, _val
