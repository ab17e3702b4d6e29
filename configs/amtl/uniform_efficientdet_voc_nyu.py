# Uniform weighting on a partially annotated mixture: boxes and labels of PASCAL VOC and depth of
# NYUv2, joined, on EfficientDet's features (AMTL, Table 7).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/joint_200e_plateau.py',
    '../_base_/datasets/voc_nyu_joined.py',
    '../_base_/models/efficientdet_voc_nyu.py',
    '../_base_/methods/uniform.py',
]
tasks = ['detection', 'seg', 'depth']
train_cfg = dict(annotations=dict(detection='gt_instances', seg='gt_sem_seg', depth='gt_depth_map'))
optim_wrapper = _base_.uniform.optim_wrapper
# The single-task networks' of the official code, mAP averaged over IoU 0.5 to 0.95.
accuracies = {'detection/pascal_voc/mAP': 57.29, 'seg/mIoU': 77.91, 'depth/delta1': 89.30}
val_cfg = dict(references=accuracies)
test_cfg = dict(references=accuracies)
default_hooks = dict(checkpoint=dict(save_best='acc_mtl'))
# Tested and selected is the moving average of the weights.
custom_hooks = [
    dict(type='SummaryHook'),
    dict(type='EMAHook', momentum=0.001, update_buffers=True),
]
