# PASCAL VOC and NYUv2 as one joined set, of which one shuffled batch is drawn (AMTL, Table 7): an
# image of VOC has boxes, and labels where there is a label map; one of NYUv2 has depth. How many
# samples a task has differs from batch to batch.
_base_ = 'voc_nyu.py'
_voc = _base_.train_dataloader.detection.dataset.datasets
_both = dict(with_seg=True, imdecode_backend='pillow')  # VOC's label maps have palettes
_parts = [
    dict(
        part,
        _scope_='mmdet',
        pipeline=[
            dict(type='mmgradsplit.FindLabelMap', folder=folder),
            *(dict(s, **_both) if s['type'] == 'LoadAnnotations' else s for s in part.pipeline),
        ],
    )
    for part, folder in zip(_voc, ('../SegmentationClass', '../SegmentationClassAug'), strict=True)
]
train_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=8,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='JoinedDataset',
        metainfo=dict(detection=0, seg='mmseg.PascalVOCDataset'),
        datasets=[*_parts, dict(_base_.train_dataloader.depth.dataset, _scope_='mmgradsplit')],
    ),
)
del _voc, _both, _parts
