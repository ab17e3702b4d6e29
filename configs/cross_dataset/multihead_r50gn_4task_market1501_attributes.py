# Table 6, the multi-head baseline.
_base_ = 'r50gn_4task_market1501_attributes.py'
optim_wrapper = dict(relations='all')
