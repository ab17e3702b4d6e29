# STA with uncertainty weighting on Cityscapes (Table 3): a learned weight a task.
_base_ = 'sta_r50_cityscapes.py'
model = dict(weighting=dict(type='torchjd.UW'))
