# The demo: GradSplit on drawn pedestrians, some minutes on two cores, from random weights.
# The same code as the full-size configs; a thinner ResNet-18, smaller images and batches.
_base_ = 'r18gn_4task.py'
root = 'data/pedestrians'
width = 16  # channels of the first stage; ResNet-18 has 64

# How many have each attribute: MA counts hits and rejections alike, however rare it is.
shares = [0.51, 0.24, 0.53, 0.23, 0.27, 0.45, 0.28, 0.28, 0.22, 0.2, 0.18, 0.19, 0.15]
shares += [0.41, 0.59, 0.18, 0.08, 0.16, 0.17, 0.17, 0.18, 0.15, 0.57, 0.21, 0.2, 0.26]
small = [1, 3, 4, 8, 11, *range(13, 20)]
kaiming = [
    dict(type='Kaiming', layer='ConvTranspose2d', mode='fan_in'),
    dict(type='Normal', layer='Conv2d', std=0.01),
    dict(type='Constant', layer='BatchNorm2d', val=1),
]
# In all sets a person is about 80 of 96 pixels high, so that each task can be looked at on the
# images of the others.
codec = dict(type='MSRAHeatmap', input_size=(80, 96), heatmap_size=(20, 24), sigma=1.5)
model = dict(
    backbone=dict(
        base_channels=width,
        stem_channels=width,
        norm_cfg=dict(num_groups=8),
        init_cfg=None,
    ),
    tasks=dict(
        attribute=dict(
            head=dict(
                in_channels=8 * width,
                conv_channels=128,
                loss=dict(pos_weight=[min(3.0, (1 - share) / share) for share in shares]),
            ),
        ),
        reid=dict(
            head=dict(in_channels=8 * width, conv_channels=256, kernel_size=1, num_classes=60)
        ),
        pose=dict(
            head=dict(
                in_channels=8 * width,
                deconv_out_channels=(48, 48),
                deconv_kernel_sizes=(4, 4),
                decoder=codec,
                # The published initialisation stays at empty heatmaps for long.
                loss=dict(loss_weight=1000.0),
                init_cfg=kaiming,
            ),
            test_cfg=dict(flip_test=False),
        ),
        parsing=dict(
            data_preprocessor=dict(size=(96, 64)),
            # Layer4 of such an image has 6 x 4 positions: the head reads the other layers as well.
            decode_head=dict(
                in_channels=[width, 2 * width, 4 * width, 8 * width],
                in_index=[0, 1, 2, 3],
                input_transform='resize_concat',
                channels=24,
                # Most of the picture is background, and mIoU counts all parts alike: those that
                # are small (Hat, Glove, Sunglasses, Socks, Scarf, and from Face on) count double.
                loss_decode=dict(class_weight=[0.3] + [1.0 + (i in small) for i in range(1, 20)]),
            ),
        ),
    ),
)

load, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
resize = dict(type='Resize', scale=(48, 96), interpolation='bilinear')
flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
flip_parts = dict(type='RandomFlip', prob=0.5, swap_seg_labels=[(14, 15), (16, 17), (18, 19)])
# MPII's boxes are squares around the person; with this padding they become 80 x 96.
crop = dict(type='GetBBoxCenterScale', padding=1.05)
reid_keys = ('img_path', 'person_id', 'camera_id', 'is_query')
train_dataloader = dict(
    attribute=dict(
        batch_size=32,
        num_workers=1,
        dataset=dict(
            data_root=root + '/pa100k',
            pipeline=[load, resize, flip, pack],
        ),
    ),
    reid=dict(
        batch_size=24,
        num_workers=1,
        sampler=dict(batch_size=24, num_instances=4),
        dataset=dict(
            data_root=root + '/market1501',
            pipeline=[load, resize, flip, pack],
        ),
    ),
    pose=dict(
        batch_size=24,
        num_workers=1,
        dataset=dict(
            data_root=root + '/mpii',
            pipeline=[
                dict(type='LoadImage'),
                crop,
                dict(type='RandomFlip', direction='horizontal'),
                dict(type='TopdownAffine', input_size=codec['input_size']),
                dict(type='GenerateTarget', encoder=codec),
                dict(type='PackPoseInputs'),
            ],
        ),
    ),
    parsing=dict(
        batch_size=16,
        num_workers=1,
        dataset=dict(
            data_root=root + '/lip',
            pipeline=[
                load,
                dict(type='LoadAnnotations'),
                dict(type='Resize', scale=(64, 96), keep_ratio=False),
                flip_parts,
                dict(type='PackSegInputs'),
            ],
        ),
    ),
)
val_dataloader = dict(
    attribute=dict(
        num_workers=1,
        dataset=dict(
            data_root=root + '/pa100k',
            pipeline=[load, resize, pack],
        ),
    ),
    reid=dict(
        num_workers=1,
        dataset=dict(
            data_root=root + '/market1501',
            pipeline=[
                load,
                resize,
                dict(pack, meta_keys=reid_keys),
            ],
        ),
    ),
    pose=dict(
        num_workers=1,
        dataset=dict(
            data_root=root + '/mpii',
            pipeline=[
                dict(type='LoadImage'),
                crop,
                dict(type='TopdownAffine', input_size=codec['input_size']),
                dict(type='PackPoseInputs'),
            ],
        ),
    ),
    parsing=dict(
        batch_size=50,
        num_workers=1,
        dataset=dict(
            data_root=root + '/lip',
            pipeline=[
                load,
                dict(type='Resize', scale=(64, 96), keep_ratio=False),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=5, iters_per_epoch=100, val_begin=5, val_interval=5)
optim_wrapper = dict(optimizer=dict(lr=0.003, fused=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=480, begin=20, end=500, by_epoch=False),
]
default_hooks = dict(logger=dict(interval=25))
custom_hooks = [
    # The multi-head baseline of the demo, where it was run.
    dict(type='SummaryHook', baseline='work_dirs/r18gn_4task_demo_multihead'),
    dict(type='PanelHook'),
]
