# GradNorm (AMTL, Table C).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
model = dict(weighting=dict(type='GradNormWeighting'))
# GradNorm's own learning rate for the weights, 0.025.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'weighting': dict(lr_mult=250, decay_mult=0)}))
