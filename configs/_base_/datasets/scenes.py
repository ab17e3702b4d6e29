# Drawn indoor scenes in NYUv2's files, with 13 classes, from tools/dataset_converters/scenes.py.
_base_ = 'nyuv2_40.py'
_dataset = dict(num_classes=13, data_root='data/scenes')
_size = (160, 120)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _dataset,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations'),
            dict(type='RandomZoom', scale=_size, ratio_range=(1.0, 1.5)),
            dict(type='mmseg.RandomCrop', crop_size=(96, 128)),
            dict(type='RandomMirror', prob=0.5),
            dict(type='PackDenseInputs'),
        ],
    ),
)
_val = dict(
    batch_size=20,
    num_workers=1,
    dataset=dict(
        _dataset,
        pipeline=[
            dict(type='LoadImage'),
            dict(type='LoadDenseAnnotations'),
            dict(type='PackDenseInputs'),
        ],
    ),
)
val_dataloader = dict(seg=_val, depth=_val, normal=_val)
test_dataloader = val_dataloader
del _dataset, _size, _val
