# Detection on PASCAL VOC, segmentation and depth on NYUv2, a dataloader for each (AMTL, supplement
# C.1; docs/data.md). VOC 07+12 trainval, tested on VOC 07; NYUv2 with 40 classes.
_voc_train = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(640, 640), keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
_nyu = dict(type='NYUv2', num_classes=40, data_root='data/nyud_mt')
_seg = dict(
    _nyu,
    data_prefix=dict(img_path='images', seg_map_path='segmentation'),
    suffixes=dict(img_path='.jpg', seg_map_path='.png'),
    reduce_zero_label=True,
)
_depth = dict(
    _nyu,
    data_prefix=dict(img_path='images', depth_map_path='depth'),
    suffixes=dict(img_path='.jpg', depth_map_path='.npy'),
)
# The preprocessor pads them to 640 x 640, which mirroring may as well precede.
_nyu_train = [
    dict(type='LoadImage'),
    dict(type='LoadDenseAnnotations'),
    dict(type='mmseg.Resize', scale=(640, 480)),
    dict(type='RandomMirror', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='PackDenseInputs'),
]
_nyu_val = [
    dict(type='LoadImage'),
    dict(type='mmseg.Resize', scale=(640, 480)),
    dict(type='LoadDenseAnnotations'),
    dict(type='PackDenseInputs'),
]
_train = dict(batch_size=32, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=True))
_val = dict(batch_size=8, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    detection=dict(
        _train,
        dataset=dict(
            _scope_='mmdet',
            type='ConcatDataset',
            ignore_keys=['dataset_type'],  # the year, in which the two differ
            datasets=[
                dict(
                    type='VOCDataset',
                    data_root='data/VOCdevkit',
                    ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                    data_prefix=dict(sub_data_root=f'VOC{year}/'),
                    filter_cfg=dict(filter_empty_gt=True, min_size=32),
                    pipeline=_voc_train,
                )
                for year in (2007, 2012)
            ],
        ),
    ),
    seg=dict(_train, dataset=dict(_seg, ann_file='gt_sets/train.txt', pipeline=_nyu_train)),
    depth=dict(_train, dataset=dict(_depth, ann_file='gt_sets/train.txt', pipeline=_nyu_train)),
)
val_dataloader = dict(
    detection=dict(
        _val,
        dataset=dict(
            _scope_='mmdet',
            type='VOCDataset',
            data_root='data/VOCdevkit',
            ann_file='VOC2007/ImageSets/Main/test.txt',
            data_prefix=dict(sub_data_root='VOC2007/'),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(640, 640), keep_ratio=False),
                # Behind Resize: boxes are compared at the size of the original image.
                dict(type='LoadAnnotations', with_bbox=True),
                dict(
                    type='PackDetInputs',
                    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
                ),
            ],
        ),
    ),
    seg=dict(
        _val,
        dataset=dict(_seg, ann_file='gt_sets/val.txt', test_mode=True, pipeline=_nyu_val),
    ),
    depth=dict(
        _val,
        dataset=dict(_depth, ann_file='gt_sets/val.txt', test_mode=True, pipeline=_nyu_val),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    detection=dict(type='PercentVOCMetric', metric='mAP', eval_mode='11points'),
    seg=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
    depth=dict(type='DepthErrorMetric'),
)
test_evaluator = val_evaluator
del _voc_train, _nyu, _seg, _depth, _nyu_train, _nyu_val, _train, _val
