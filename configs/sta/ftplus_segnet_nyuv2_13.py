# FT+ on NYUv2-13, SegNet (STA, Table 5): Full Task for as many steps as STA and ISTA take.
_base_ = 'ft_segnet_nyuv2_13.py'
train_cfg = dict(max_epochs=400)
param_scheduler = [dict(type='StepLR', step_size=200, gamma=0.5)]
