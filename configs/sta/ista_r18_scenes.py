# ISTA on the drawn scenes (beside Table 1): the tasks of each sample in turn, two steps each.
_base_ = 'ft_r18_scenes.py'
train_cfg = dict(allocator=dict(type='ISTA'))
