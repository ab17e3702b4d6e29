# ISTA on the drawn scenes (beside Table 1): the tasks of each sample in turn, two steps each.
_base_ = ['ft_r18_scenes.py', '../_base_/methods/ista.py']
train_cfg = _base_.ista.train_cfg
