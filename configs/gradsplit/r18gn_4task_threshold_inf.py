# Each filter group is trained by its own task alone (Tables 4 and A-2).
_base_ = 'r18gn_4task.py'
optim_wrapper = dict(threshold='inf')
