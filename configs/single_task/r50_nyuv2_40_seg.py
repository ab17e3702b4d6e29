# The single task 'seg' on NYUv2-40 (STA, Table 2).
_base_ = '../sta/ft_r50_nyuv2_40.py'
tasks = ['seg']
