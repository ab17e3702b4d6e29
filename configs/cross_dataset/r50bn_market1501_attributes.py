# Table 6, batch normalisation: it can be trained with this config, too.
_base_ = ['r50gn_4task_market1501_attributes.py', '../_base_/backbones/resnet50_bn.py']
model = dict(backbone=dict(_base_.resnet50_bn, _delete_=True))
