# GradSplit on layers 3 and 4 (Table 4).
_base_ = 'r18gn_4task.py'
optim_wrapper = dict(modules=['layer[34]'])
