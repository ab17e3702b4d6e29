# CosReg on NYUv2-13 (STA, Table 1).
_base_ = 'ft_segnet_nyuv2_13.py'
optim_wrapper = dict(type='CosRegOptimWrapper', weight=1.0)
