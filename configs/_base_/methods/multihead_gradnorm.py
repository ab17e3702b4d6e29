# GradNorm on the multi-head baseline, with an optimizer for each task (GradSplit, Tables 2 and 3).
_base_ = ['multihead.py', 'gradnorm.py']
multihead_gradnorm = dict(
    optim_wrapper=dict(
        _base_.multihead.optim_wrapper, weighting=_base_.gradnorm.optim_wrapper.weighting
    )
)
