# FT+ on Cityscapes (STA, Table 5): Full Task for as many steps as STA and ISTA take.
_base_ = 'ft_r50_cityscapes.py'
train_cfg = dict(max_epochs=200)
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=200, by_epoch=True, convert_to_iter_based=True)
]
