# GradNorm on the multi-head baseline, an optimizer a task: normalised gradients, on all of the
# backbone's last layer, layer4 (GradSplit, Tables 2 and 3, supplement D.2).
_base_ = ['multihead.py', 'gradnorm.py']
multihead_gradnorm = dict(
    optim_wrapper=dict(
        _base_.multihead.optim_wrapper,
        weighting=dict(_base_.gradnorm.optim_wrapper.weighting, layer=['*layer4'], normalise='own'),
    )
)
