# Full Task on NYUv2 with 40 classes (STA, Table 2): the baseline, and what the others inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_100e.py',
    '../_base_/datasets/nyuv2_40.py',
    '../_base_/models/dense_r50_aspp.py',
]
tasks = ['seg', 'depth']
train_cfg = dict(annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'))
# delta_m against the single-task networks of the table; replace these by your own.
references = {
    'seg/mIoU': 43.9,
    'depth/rmse': dict(value=0.585, lower_is_better=True),
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='delta_m'))
