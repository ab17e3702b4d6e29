# The demo on larger images, for longer: about ten minutes on two cores. The experiments of
# docs/experiments were made with it.
_base_ = 'r18gn_4task_demo.py'
width = 32

codec = dict(type='MSRAHeatmap', input_size=(128, 128), heatmap_size=(32, 32), sigma=2)
model = dict(
    backbone=dict(
        base_channels=width,
        stem_channels=width,
        strides=(1, 2, 2, 2),
        norm_cfg=dict(num_groups=16),
    ),
    tasks=dict(
        attribute=dict(
            head=dict(in_channels=8 * width, conv_channels=256, loss=dict(pos_weight=[3.0] * 26))
        ),
        reid=dict(head=dict(in_channels=8 * width)),
        pose=dict(
            head=dict(
                in_channels=8 * width,
                deconv_out_channels=(64, 64, 64),
                deconv_kernel_sizes=(4, 4, 4),
                decoder=codec,
                init_cfg=[
                    dict(type='Kaiming', layer=['ConvTranspose2d', 'Conv2d'], mode='fan_in'),
                    dict(type='Constant', layer='BatchNorm2d', val=1),
                ],
            ),
        ),
        parsing=dict(
            data_preprocessor=dict(size=(128, 128)),
            decode_head=dict(
                in_channels=[2 * width, 4 * width, 8 * width],
                in_index=[1, 2, 3],
                channels=64,
                loss_decode=dict(class_weight=[0.3] + [1.0] * 19),
            ),
        ),
    ),
)

load, pack, flip = _base_.load, _base_.pack, _base_.flip
resize = dict(type='Resize', scale=(64, 128), interpolation='bilinear')
square = dict(type='Resize', scale=(128, 128), keep_ratio=False)
crop = [
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
]
train_dataloader = dict(
    attribute=dict(batch_size=32, dataset=dict(pipeline=[load, resize, flip, pack])),
    reid=dict(
        batch_size=32,
        sampler=dict(batch_size=32),
        dataset=dict(pipeline=[load, resize, flip, pack]),
    ),
    pose=dict(
        dataset=dict(
            pipeline=[
                dict(type='LoadImage'),
                crop[0],
                dict(type='RandomFlip', direction='horizontal'),
                crop[1],
                dict(type='GenerateTarget', encoder=codec),
                dict(type='PackPoseInputs'),
            ],
        ),
    ),
    parsing=dict(
        dataset=dict(
            pipeline=[
                load,
                dict(type='LoadAnnotations'),
                square,
                _base_.flip_parts,
                dict(type='PackSegInputs'),
            ],
        ),
    ),
)
val_dataloader = dict(
    attribute=dict(dataset=dict(pipeline=[load, resize, pack])),
    reid=dict(dataset=dict(pipeline=[load, resize, dict(pack, meta_keys=_base_.reid_keys)])),
    pose=dict(dataset=dict(pipeline=[dict(type='LoadImage'), *crop, dict(type='PackPoseInputs')])),
    parsing=dict(
        dataset=dict(
            pipeline=[load, square, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
        ),
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=0.002))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=450, begin=50, end=500, by_epoch=False),
]
custom_hooks = [
    dict(type='SummaryHook', baseline='work_dirs/r18gn_4task_demo_long_multihead'),
    dict(type='PanelHook'),
]
