# The multi-head baseline (Table 2): every filter is trained by every task.
_base_ = '../gradsplit/r50gn_4task.py'
optim_wrapper = dict(relations='all')
