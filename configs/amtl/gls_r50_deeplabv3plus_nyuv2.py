# The geometric mean of the losses (AMTL, Table C).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
model = dict(weighting=dict(type='torchjd.GeometricMean'))
