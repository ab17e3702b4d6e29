# ISTA on NYUv2-40 (Table 2): the tasks of each sample in turn, as many steps as Full Task.
_base_ = 'ft_r50_nyuv2_40.py'
train_cfg = dict(max_epochs=50, allocator=dict(type='ISTA'))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=50, by_epoch=True, convert_to_iter_based=True)
]
