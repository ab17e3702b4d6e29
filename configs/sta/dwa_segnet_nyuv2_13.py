# Dynamic weight average on NYUv2-13 (STA, Table 1).
_base_ = 'ft_segnet_nyuv2_13.py'
model = dict(weighting=dict(type='torchjd.DWA'))
