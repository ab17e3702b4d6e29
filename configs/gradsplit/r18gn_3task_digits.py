# GradSplit on digits over photographs (supplement C, Table A-6): ResNet-18-GN from random weights.
# Ten minutes on two cores; the data comes from tools/dataset_converters/digits.py.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/schedules/round_robin_100e.py',
    '../_base_/methods/gradsplit.py',
    '../_base_/backbones/resnet18_gn.py',
    '../_base_/tasks/digit.py',
    '../_base_/tasks/photo.py',
    '../_base_/tasks/mask.py',
]
tasks = ['digit', 'photo', 'mask']

model = dict(
    type='MultiTaskModel',
    # At full stride layer4 has 2 x 2 positions left of such a small image, in less time.
    backbone=dict(_base_.resnet18_gn, strides=(1, 2, 2, 2), init_cfg=None),
    tasks={task: _base_[task].model for task in tasks},
)
train_dataloader = {task: _base_[task].train_dataloader for task in tasks}
val_dataloader = {task: _base_[task].val_dataloader for task in tasks}
val_evaluator = {task: _base_[task].val_evaluator for task in tasks}
test_dataloader = val_dataloader
test_evaluator = val_evaluator

# In such quotes, as the folder may have an apostrophe in its name.
relations = r"""{{ fileDirname }}/../_base_/relations/gradsplit_table_a6.json"""
optim_wrapper = dict(_base_.gradsplit.optim_wrapper, relations=relations)
train_cfg = dict(max_epochs=5, iters_per_epoch=100, val_begin=5, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=4, begin=1, end=5, convert_to_iter_based=True),
]
# delta_m against the single-task networks of Table A-6; replace these by your own.
references = {'digit/accuracy/top1': 91.7, 'photo/accuracy/top1': 75.8, 'mask/mIoU': 78.3}
val_cfg = dict(references=references)
test_cfg = dict(references=references)
default_hooks = dict(checkpoint=dict(save_best='delta_m'), logger=dict(interval=20))
