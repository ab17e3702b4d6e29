# Uniform weighting, ResNet-50 and DeepLabV3 with a shared ASPP (AMTL, Tables 1, A and B).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_adam_cosine_100e.py',
    '../_base_/datasets/nyuv2_40_amtl.py',
    '../_base_/models/deeplab_v3_shared.py',
]
tasks = ['seg', 'depth', 'normal']
train_cfg = dict(annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'))
# The single-task networks of Table D, in percent where higher is better, else in metres or degrees.
# Replace them by your own. AMTL reads the accuracies, acc_mtl and delta_m all.
accuracies = {'seg/mIoU': 44.37, 'depth/delta1': 80.87, 'normal/11.25': 45.53}
references = dict(
    accuracies,
    **{
        'depth/rmse': dict(value=0.5814, lower_is_better=True),
        'normal/mean': dict(value=19.3462, lower_is_better=True),
        'normal/median': dict(value=13.2045, lower_is_better=True),
    },
)
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='acc_mtl'))
