# The multi-head baseline with batch normalisation by task (Table 2).
_base_ = ['r50gn_4task.py', '../_base_/backbones/resnet50_tbn.py']
model = dict(backbone=dict(_base_.resnet50_tbn, _delete_=True))
