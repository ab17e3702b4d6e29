# Table 6, batch normalisation by task.
_base_ = ['r50gn_4task_market1501_attributes.py', '../_base_/backbones/resnet50_tbn.py']
model = dict(backbone=dict(_base_.resnet50_tbn, _delete_=True))
