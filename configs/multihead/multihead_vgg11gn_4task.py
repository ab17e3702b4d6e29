# The multi-head baseline with VGG-11 (Table 5).
_base_ = '../gradsplit/vgg11gn_4task.py'
optim_wrapper = dict(relations='all')
