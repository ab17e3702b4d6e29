# PCGrad with uncertainty weighting on NYUv2-13 (STA, Table 1).
_base_ = 'pcgrad_segnet_nyuv2_13.py'
model = dict(weighting=dict(type='torchjd.UW'))
