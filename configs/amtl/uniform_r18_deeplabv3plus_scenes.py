# Uniform weighting on the drawn scenes: AMTL's shared ASPP and small predictors behind a thin
# ResNet-18, minutes on two cores, from random weights; the same code as the full-size configs.
# tools/compare_methods.py compares the methods on it. Data: tools/dataset_converters/scenes.py.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_adam_cosine_100e.py',
    '../_base_/datasets/scenes.py',
    '../_base_/models/deeplab_v3plus_shared.py',
]
tasks = ['seg', 'depth', 'normal']
width = 32  # channels of the first stage; ResNet-18 has 64
head = dict(in_channels=[64, 64], channels=64)
model = dict(
    backbone=dict(
        backbone=dict(
            depth=18,
            base_channels=width,
            stem_channels=width,
            strides=(1, 2, 2, 1),
            dilations=(1, 1, 1, 2),
            init_cfg=None,
        ),
        neck=dict(
            in_channels=8 * width,
            channels=64,
            dilations=(2, 4, 6),
            low_level=dict(in_channels=2 * width, channels=64),
        ),
    ),
    # Plain losses, without what AMTL's code does on NYUv2: as docs/experiments has them.
    tasks=dict(
        seg=dict(
            decode_head=dict(
                head, num_classes=13, loss_decode=dict(_delete_=True, type='mmseg.CrossEntropyLoss')
            )
        ),
        depth=dict(decode_head=dict(head=head, average='image')),
        normal=dict(decode_head=dict(head=head, average='image')),
    ),
)
# The single-task networks of the comparison in docs/experiments/results.md, mean of three seeds.
references = {
    'seg/mIoU': 9.6,
    'depth/delta1': 44.6,
    'normal/11.25': 10.4,
    'depth/rmse': dict(value=1.12, lower_is_better=True),
    'normal/mean': dict(value=36.1, lower_is_better=True),
    'normal/median': dict(value=32.1, lower_is_better=True),
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
train_cfg = dict(
    max_epochs=8,
    val_begin=8,
    val_interval=8,
    annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(
        type='CosineAnnealingLR', T_max=8, begin=0, end=8, by_epoch=True, convert_to_iter_based=True
    )
]
default_hooks = dict(checkpoint=dict(interval=8), logger=dict(interval=25))
