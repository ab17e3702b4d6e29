# ISTA on NYUv2-13, SegNet (Table 1): the tasks of each sample in turn, two steps an iteration.
_base_ = ['ft_segnet_nyuv2_13.py', '../_base_/methods/ista.py']
train_cfg = _base_.ista.train_cfg
