# ISTA on Cityscapes (Table 3): the tasks of each sample in turn, two steps an iteration.
_base_ = 'ft_r50_cityscapes.py'
train_cfg = dict(allocator=dict(type='ISTA'))
