# The single task 'seg' on Cityscapes (STA, Table 3).
_base_ = '../sta/ft_r50_cityscapes.py'
tasks = ['seg']
