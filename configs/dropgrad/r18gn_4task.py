# DropGrad on layer4 (Table 4): half of the gradients are dropped at random, no relations. One
# optimizer a task, as GradSplit and the multi-head baseline beside it.
_base_ = ['../gradsplit/r18gn_4task.py', '../_base_/methods/dropgrad.py']
optim_wrapper = dict(_base_.dropgrad.optim_wrapper, optimizers='separate')
method = 'dropgrad'
