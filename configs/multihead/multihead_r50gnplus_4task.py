# The multi-head baseline with more capacity in layer4 (Table 7, R50-GN+).
_base_ = '../gradsplit/r50gnplus_4task.py'
optim_wrapper = dict(relations='all')
