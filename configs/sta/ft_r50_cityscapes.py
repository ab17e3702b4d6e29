# Full Task on Cityscapes (STA, Tables 3 and 5): the baseline, and what the others inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_100e.py',
    '../_base_/datasets/cityscapes_19.py',
    '../_base_/models/dense_r50_aspp.py',
]
tasks = ['seg', 'disparity']
model = dict(tasks=dict(seg=dict(decode_head=dict(num_classes=19))))
train_cfg = dict(annotations=dict(seg='gt_sem_seg', disparity='gt_disparity_map'))
# delta_m against the single-task networks of the table; replace these by your own.
references = {
    'seg/mIoU': 63.84,
    'disparity/abs_err': dict(value=3.903, lower_is_better=True),
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='delta_m'))
