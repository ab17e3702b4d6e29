# DropGrad that drops 75% of the gradients (GradSplit, Table 4).
_base_ = 'dropgrad.py'
dropgrad75 = dict(optim_wrapper=dict(_base_.dropgrad.optim_wrapper, drop_grad=0.75))
