# PCGrad whose projected gradients are averaged, in place of added up, as in AMTL's code.
_base_ = 'pcgrad.py'
pcgrad_mean = dict(optim_wrapper=dict(_base_.pcgrad.optim_wrapper, mean=True))
