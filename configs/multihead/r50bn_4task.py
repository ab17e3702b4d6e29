# The multi-head baseline with batch normalisation, all tasks through the same norms (Table 2).
_base_ = ['r50gn_4task.py', '../_base_/backbones/resnet50_bn.py']
model = dict(backbone=dict(_base_.resnet50_bn, _delete_=True))
