# ISTA with PCGrad on Cityscapes (STA, Table 6).
_base_ = 'ista_r50_cityscapes.py'
optim_wrapper = dict(aggregator=dict(type='torchjd.PCGrad'))
