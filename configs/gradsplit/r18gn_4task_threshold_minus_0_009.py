# GradSplit at the threshold -0.009 (Table A-2).
_base_ = 'r18gn_4task.py'
optim_wrapper = dict(threshold=-0.009)
