# CAGrad (AMTL, Table C).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
optim_wrapper = dict(aggregator=dict(type='torchjd.CAGrad', c=0.5))
