# The multi-head baseline on digits over photographs (Table A-6).
_base_ = ['../gradsplit/r18gn_3task_digits.py', '../_base_/methods/multihead.py']
optim_wrapper = _base_.multihead.optim_wrapper
method = 'multihead'
