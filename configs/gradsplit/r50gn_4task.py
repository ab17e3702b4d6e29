# GradSplit in the paper's four-task setting (Table 2): ResNet-50-GN, relations of Table A-1.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/round_robin_100e.py',
    '../_base_/methods/gradsplit.py',
    '../_base_/backbones/resnet50_gn.py',
    '../_base_/tasks/attribute.py',
    '../_base_/tasks/reid.py',
    '../_base_/tasks/pose.py',
    '../_base_/tasks/parsing.py',
]
tasks = ['attribute', 'reid', 'pose', 'parsing']

model = dict(
    type='MultiTaskModel',
    backbone=_base_.resnet50_gn,
    tasks={task: _base_[task].model for task in tasks},
)
train_dataloader = {task: _base_[task].train_dataloader for task in tasks}
val_dataloader = {task: _base_[task].val_dataloader for task in tasks}
val_evaluator = {task: _base_[task].val_evaluator for task in tasks}
test_dataloader = val_dataloader
test_evaluator = val_evaluator

# In such quotes, as the folder may have an apostrophe in its name.
relations = r"""{{ fileDirname }}/../_base_/relations/gradsplit_table_a1.json"""
optim_wrapper = dict(_base_.gradsplit.optim_wrapper, relations=relations)
# delta_m against the single-task ResNet-50-GN of Table 2; replace these by your own.
references = {
    'attribute/MA': 78.0,
    'reid/mAP': 81.1,
    'pose/PCK': 88.2,
    'parsing/mIoU': 45.6,
}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='delta_m'))
