# GradNorm on the last layer of the shared backbone (GradSplit, Table 2 and supplement D.2).
_base_ = 'multihead_r50gn_4task.py'
model = dict(weighting=dict(type='GradNormWeighting'))
# GradNorm's own learning rate for its weights is 0.025.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'weighting': dict(lr_mult=25)}))
