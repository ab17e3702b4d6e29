# Detection and segmentation on PASCAL VOC, depth on NYUv2, a dataloader for each (AMTL, supplement
# C; docs/data.md). Boxes of VOC 07+12, label maps of 07 and of 12 with SBD, tested on 07 test with
# the segmentation's validation images of 12; NYUv2's 24,231 frames with depth, tested on 654. An
# image is scaled in one case of two (the official code's range 2/3 to 4/3 is that of the canvas).
_size = (640, 640)
_zoom = (3 / 4, 3 / 2)
_detection_train = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=_size, keep_ratio=False),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(
                type='RandomResize',
                scale=_size,
                ratio_range=_zoom,
                resize_type='mmdet.Resize',
                keep_ratio=False,
            )
        ],
    ),
    dict(type='RandomCrop', crop_size=_size, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
_detection_val = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=_size, keep_ratio=False),
    # Behind Resize: boxes are compared at the size of the original image.
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
_seg_train = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=_size, keep_ratio=False),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[
            dict(
                type='RandomResize',
                scale=_size,
                ratio_range=_zoom,
                resize_type='mmseg.Resize',
                keep_ratio=False,
            )
        ],
    ),
    dict(type='RandomCrop', crop_size=_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
_seg_val = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=_size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# The preprocessor pads them to 640 x 640, which mirroring may as well precede.
_depth_train = [
    dict(type='LoadImage'),
    dict(type='LoadDenseAnnotations', depth_factor=0.001),
    dict(type='mmseg.Resize', scale=(640, 480)),
    dict(
        type='RandomApply',
        prob=0.5,
        transforms=[dict(type='RandomZoom', scale=(640, 480), ratio_range=_zoom)],
    ),
    dict(type='mmseg.RandomCrop', crop_size=_size),
    dict(type='RandomMirror', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='PackDenseInputs'),
]
_depth_val = [
    dict(type='LoadImage'),
    dict(type='mmseg.Resize', scale=(640, 480)),
    dict(type='LoadDenseAnnotations', depth_factor=0.001),
    dict(type='PackDenseInputs'),
]


def _detection(year, split, pipeline, **options):
    return dict(
        type='VOCDataset',
        data_root='data/VOCdevkit',
        ann_file=f'VOC{year}/ImageSets/{split}.txt',
        data_prefix=dict(sub_data_root=f'VOC{year}/'),
        pipeline=pipeline,
        **options,
    )


def _seg(year, split, labels, pipeline, **options):
    return dict(
        type='PascalVOCDataset',
        data_root=f'data/VOCdevkit/VOC{year}',
        ann_file=f'ImageSets/Segmentation/{split}.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path=labels),
        pipeline=pipeline,
        **options,
    )


def _depth(split, pipeline, **options):
    return dict(
        type='NYUv2',
        data_root='data/nyu',
        data_prefix=dict(img_path=f'images/{split}', depth_map_path=f'annotations/{split}'),
        suffixes=dict(img_path='.jpg', depth_map_path='.png'),
        pipeline=pipeline,
        **options,
    )


_boxes = dict(
    _scope_='mmdet',
    type='ConcatDataset',
    ignore_keys=['dataset_type'],  # the year, in which the two differ
)
_labels = dict(_scope_='mmseg', type='ConcatDataset')
_filled = dict(filter_cfg=dict(filter_empty_gt=True))
_train = dict(batch_size=32, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=True))
_val = dict(batch_size=8, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    detection=dict(
        _train,
        dataset=dict(
            _boxes,
            datasets=[
                _detection(2007, 'Main/trainval', _detection_train, **_filled),
                _detection(2012, 'Main/trainvalsegdet', _detection_train, **_filled),
            ],
        ),
    ),
    seg=dict(
        _train,
        dataset=dict(
            _labels,
            datasets=[
                _seg(2007, 'trainval', 'SegmentationClass', _seg_train),
                _seg(2012, 'trainaug', 'SegmentationClassAug', _seg_train),
            ],
        ),
    ),
    depth=dict(_train, dataset=_depth('train', _depth_train)),
)
val_dataloader = dict(
    detection=dict(
        _val,
        dataset=dict(
            _boxes,
            datasets=[
                _detection(2007, 'Main/test', _detection_val, test_mode=True),
                _detection(2012, 'Segmentation/val', _detection_val, test_mode=True),
            ],
        ),
    ),
    seg=dict(
        _val,
        dataset=dict(
            _labels,
            datasets=[
                _seg(2007, 'test', 'SegmentationClass', _seg_val, test_mode=True),
                _seg(2012, 'val', 'SegmentationClass', _seg_val, test_mode=True),
            ],
        ),
    ),
    depth=dict(_val, dataset=_depth('test', _depth_val, test_mode=True)),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    detection=dict(
        type='PercentVOCMetric',
        metric='mAP',
        iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95],
        eval_mode='area',  # of both years, as the official code has it
    ),
    seg=dict(type='mmseg.IoUMetric', iou_metrics=['mIoU']),
    depth=dict(type='DepthErrorMetric'),
)
test_evaluator = val_evaluator
del _size, _zoom, _detection_train, _detection_val, _seg_train, _seg_val, _depth_train, _depth_val
del _detection, _seg, _depth, _boxes, _labels, _filled, _train, _val
