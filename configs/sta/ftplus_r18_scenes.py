# FT+ on the drawn scenes (STA, beside Table 5): Full Task for as many steps as STA and ISTA take.
_base_ = 'ft_r18_scenes.py'
train_cfg = dict(max_epochs=16, val_begin=16, val_interval=16)
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=16, by_epoch=True, convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=16))
