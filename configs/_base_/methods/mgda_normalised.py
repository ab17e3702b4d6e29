# MGDA on gradients divided by their norms and losses ('loss+'), as in the sample config of its
# official code, which GradSplit's comparison is based on (supplement D.2).
_base_ = 'mgda.py'
mgda_normalised = dict(optim_wrapper=dict(_base_.mgda.optim_wrapper, normalise='loss+'))
