# PCGrad on losses under uncertainty weighting (STA, Table 1).
_base_ = ['pcgrad.py', 'uw.py']
pcgrad_uw = dict(
    optim_wrapper=dict(_base_.pcgrad.optim_wrapper, weighting=_base_.uw.optim_wrapper.weighting)
)
