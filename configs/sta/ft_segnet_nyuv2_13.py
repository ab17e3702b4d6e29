# Full Task on NYUv2 with 13 classes, SegNet (STA, Tables 1 and 5): the baseline of the others.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_100e.py',
    '../_base_/datasets/nyuv2_13.py',
    '../_base_/models/dense_segnet.py',
]
tasks = ['seg', 'depth']
train_cfg = dict(
    max_epochs=200,
    annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'),
)
optim_wrapper = dict(optimizer=dict(weight_decay=0.0))
param_scheduler = [dict(type='StepLR', step_size=100, gamma=0.5)]
# delta_m against the single-task networks of the table; replace these by your own.
references = {
    'seg/mIoU': 54.71,
    'depth/rmse': dict(value=0.747, lower_is_better=True),
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='delta_m'))
