# ISTA with uncertainty weighting on NYUv2-40 (Table 2): a learned weight a task.
_base_ = 'ista_r50_nyuv2_40.py'
model = dict(weighting=dict(type='torchjd.UW'))
