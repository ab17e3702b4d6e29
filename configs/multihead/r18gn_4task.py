# The multi-head baseline (Table 4): every filter is trained by every task.
_base_ = ['../gradsplit/r18gn_4task.py', '../_base_/methods/multihead.py']
optim_wrapper = _base_.multihead.optim_wrapper
method = 'multihead'
