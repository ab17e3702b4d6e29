# Full Task on the drawn scenes: minutes on two cores, from random weights; the same code as the
# full-size configs. The data comes from tools/dataset_converters/scenes.py.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_100e.py',
    '../_base_/datasets/scenes.py',
    '../_base_/models/dense_r50_aspp.py',
]
tasks = ['seg', 'depth']
width = 32  # channels of the first stage; ResNet-18 has 64
head = dict(
    in_channels=8 * width,
    channels=64,
    dilations=(1, 3, 6),
    norm_cfg=dict(num_groups=16),
)
model = dict(
    backbone=dict(
        depth=18,
        base_channels=width,
        stem_channels=width,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        init_cfg=None,
    ),
    tasks=dict(
        # Over all pixels, of which a drawn scene has a label: as docs/experiments has it.
        seg=dict(decode_head=dict(head, num_classes=13, loss_decode=dict(avg_non_ignore=False))),
        depth=dict(decode_head=dict(head=head)),
        disparity=dict(decode_head=dict(head=head)),
        normal=dict(decode_head=dict(head=head)),
    ),
)
train_cfg = dict(
    max_epochs=8,
    val_begin=8,
    val_interval=8,
    annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=8, by_epoch=True, convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=8), logger=dict(interval=25))
