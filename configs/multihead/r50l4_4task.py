# A layer4 for each task (Table 7, R50-L4): the shared backbone ends at layer3.
_base_ = ['r50gn_4task.py', '../_base_/backbones/resnet50_gn_layer3.py']
model = dict(
    backbone=dict(_base_.resnet50_gn_layer3, _delete_=True),
    tasks={task: dict(neck=_base_.resnet50_gn_layer4) for task in _base_.tasks},
)
