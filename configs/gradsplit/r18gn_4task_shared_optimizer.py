# One optimizer for all tasks instead of one each (section 4.1).
_base_ = 'r18gn_4task.py'
optim_wrapper = dict(optimizers='shared')
