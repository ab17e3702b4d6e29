# Uniform weighting on a partially annotated mixture: detection from PASCAL VOC, segmentation and
# depth from NYUv2, on EfficientDet's features (AMTL, Table 7).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/round_robin_200e_plateau.py',
    '../_base_/datasets/voc_nyu.py',
    '../_base_/models/efficientdet_voc_nyu.py',
    '../_base_/methods/multihead_summed.py',
]
tasks = ['detection', 'seg', 'depth']
optim_wrapper = _base_.multihead_summed.optim_wrapper
# Stand-ins: of mmdet's RetinaNet (ResNet-50) on VOC, and of AMTL's Table G (the same backbone,
# another head) on NYUv2. Put the results of your three single-task networks here.
accuracies = {'detection/pascal_voc/mAP': 79.2, 'seg/mIoU': 46.22, 'depth/delta1': 83.0}
val_cfg = dict(references=accuracies)
test_cfg = dict(references=accuracies)
default_hooks = dict(checkpoint=dict(save_best='delta_m'))
