# The data of AMTL's Table 7 in round-robin training: a dataloader for each task, and one update a
# major iteration, from the sum of the task gradients. With one of its tasks alone it is that task's
# single-task network.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/round_robin_200e_plateau.py',
    '../_base_/datasets/voc_nyu.py',
    '../_base_/models/efficientdet_voc_nyu.py',
    '../_base_/methods/multihead_summed.py',
]
tasks = ['detection', 'seg', 'depth']
optim_wrapper = _base_.multihead_summed.optim_wrapper
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
