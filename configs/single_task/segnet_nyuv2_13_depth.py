# The single task 'depth' on NYUv2-13, SegNet (STA, Table 1).
_base_ = '../sta/ft_segnet_nyuv2_13.py'
tasks = ['depth']
