# Full Task with uncertainty weighting on the drawn scenes (beside Table 1): learned weights.
_base_ = 'ft_r18_scenes.py'
model = dict(weighting=dict(type='torchjd.UW'))
