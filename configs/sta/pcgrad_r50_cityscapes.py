# PCGrad on Cityscapes (STA, Table 3).
_base_ = 'ft_r50_cityscapes.py'
optim_wrapper = dict(aggregator=dict(type='torchjd.PCGrad'))
