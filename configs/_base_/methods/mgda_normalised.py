# MGDA on gradients divided by their norms and losses: the sample config of its official code
# ('loss+'), by which GradSplit compares (supplement D.2).
_base_ = 'mgda.py'
mgda_normalised = dict(optim_wrapper=dict(_base_.mgda.optim_wrapper, normalise='loss+'))
