# MGDA on NYUv2-40 (STA, Table 2).
_base_ = 'ft_r50_nyuv2_40.py'
optim_wrapper = dict(aggregator=dict(type='torchjd.MGDA'))
