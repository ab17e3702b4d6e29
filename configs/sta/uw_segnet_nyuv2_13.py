# Full Task with uncertainty weighting on NYUv2-13, SegNet (Table 1): a learned weight a task.
_base_ = 'ft_segnet_nyuv2_13.py'
model = dict(weighting=dict(type='torchjd.UW'))
