# GradNorm whose weights have an SGD of their own, with the network's learning rate and a momentum
# of 0.1, as in AMTL's code.
_base_ = 'gradnorm.py'
gradnorm_sgd = dict(
    optim_wrapper=dict(
        _base_.gradnorm.optim_wrapper,
        weighting=dict(_base_.gradnorm.optim_wrapper.weighting, lr=None, momentum=0.1),
    )
)
