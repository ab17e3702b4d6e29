# Dynamic weight average on Cityscapes (STA, Table 3).
_base_ = 'ft_r50_cityscapes.py'
model = dict(weighting=dict(type='torchjd.DWA'))
