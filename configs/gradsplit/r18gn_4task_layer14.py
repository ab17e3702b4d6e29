# GradSplit on layers 1 to 4 (Table 4).
_base_ = 'r18gn_4task.py'
optim_wrapper = dict(modules=['layer[1234]'])
