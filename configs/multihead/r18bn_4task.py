# The multi-head baseline with batch normalisation, of which the single tasks of Table 2 are taken.
_base_ = ['r18gn_4task.py', '../_base_/backbones/resnet18_bn.py']
model = dict(backbone=dict(_base_.resnet18_bn, _delete_=True))
