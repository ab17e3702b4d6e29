# GradSplit with more capacity in layer4 (Table 7, R50-GN+).
_base_ = ['r50gn_4task.py', '../_base_/backbones/resnet50_gn_plus.py']
model = dict(backbone=dict(_base_.resnet50_gn_plus, _delete_=True))
