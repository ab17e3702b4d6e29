# Table 6, GradNorm.
_base_ = 'multihead_r50gn_4task_market1501_attributes.py'
model = dict(weighting=dict(type='GradNormWeighting'))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'weighting': dict(lr_mult=25)}))
