# GradSplit with one update a major iteration, from the sum of the masked task gradients (Eq. 4).
_base_ = 'gradsplit.py'
gradsplit_summed = dict(
    optim_wrapper=dict(_base_.gradsplit.optim_wrapper, optimizers='shared', update='iteration')
)
