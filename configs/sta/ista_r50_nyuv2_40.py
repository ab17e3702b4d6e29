# ISTA on NYUv2-40 (Table 2): the tasks of each sample in turn, as many steps as Full Task.
_base_ = ['ft_r50_nyuv2_40.py', '../_base_/methods/ista.py']
train_cfg = dict(_base_.ista.train_cfg, max_epochs=50)
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=50, by_epoch=True, convert_to_iter_based=True)
]
