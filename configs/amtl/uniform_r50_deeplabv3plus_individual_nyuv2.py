# Uniform weighting, ResNet-50 and DeepLabV3+ with an ASPP a task (AMTL, Tables B and E).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_adam_cosine_100e.py',
    '../_base_/datasets/nyuv2_40_amtl.py',
    '../_base_/models/deeplab_v3plus_individual.py',
]
tasks = ['seg', 'depth', 'normal']
train_cfg = dict(annotations=dict(seg='gt_sem_seg', depth='gt_depth_map', normal='gt_normal_map'))
# The single-task networks of Table E, in percent where higher is better, else in metres or degrees.
# Replace them by your own. AMTL reads the accuracies, acc_mtl and delta_m all.
accuracies = {'seg/mIoU': 44.49, 'depth/delta1': 80.54, 'normal/11.25': 45.36}
references = dict(
    accuracies,
    **{
        'depth/rmse': dict(value=0.5801, lower_is_better=True),
        'normal/mean': dict(value=19.4138, lower_is_better=True),
        'normal/median': dict(value=13.2616, lower_is_better=True),
    },
)
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='acc_mtl'))
