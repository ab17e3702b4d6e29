# GradNorm on NYUv2-13 (STA, Table 1).
_base_ = 'ft_segnet_nyuv2_13.py'
model = dict(weighting=dict(type='GradNormWeighting'))
# GradNorm's own learning rate for the weights, 0.025.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'weighting': dict(lr_mult=250, decay_mult=0)}))
