# The multi-head baseline (Table 4): every filter is trained by every task.
_base_ = '../gradsplit/r18gn_4task.py'
optim_wrapper = dict(relations='all')
