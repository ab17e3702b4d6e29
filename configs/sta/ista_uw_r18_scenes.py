# ISTA with uncertainty weighting on the drawn scenes (beside Table 1): a learned weight a task.
_base_ = 'ista_r18_scenes.py'
model = dict(weighting=dict(type='torchjd.UW'))
