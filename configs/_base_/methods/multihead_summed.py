# The multi-head baseline with one update a major iteration, from the sum of the task gradients, as
# of one loss of all tasks (AMTL, supplement C.3).
_base_ = 'multihead.py'
multihead_summed = dict(
    optim_wrapper=dict(_base_.multihead.optim_wrapper, optimizers='shared', update='iteration')
)
