# The single task 'disparity' on Cityscapes (STA, Table 3).
_base_ = '../sta/ft_r50_cityscapes.py'
tasks = ['disparity']
