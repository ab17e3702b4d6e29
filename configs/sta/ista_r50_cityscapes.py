# ISTA on Cityscapes (Table 3): the tasks of each sample in turn, two steps an iteration.
_base_ = ['ft_r50_cityscapes.py', '../_base_/methods/ista.py']
train_cfg = _base_.ista.train_cfg
