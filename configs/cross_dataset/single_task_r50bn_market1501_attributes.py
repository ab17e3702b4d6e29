# Table 6, the single-task network with batch normalisation.
_base_ = [
    'single_task_r50gn_market1501_attributes.py',
    '../_base_/backbones/resnet50_bn.py',
]
model = dict(backbone=dict(_base_.resnet50_bn, _delete_=True))
