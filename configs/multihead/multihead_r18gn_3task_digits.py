# The multi-head baseline on digits over photographs (Table A-6).
_base_ = '../gradsplit/r18gn_3task_digits.py'
optim_wrapper = dict(relations='all')
