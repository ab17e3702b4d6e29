# AMTL, with the single-task accuracies of the paper (Table 1).
_base_ = 'uniform_r50_deeplabv3_nyuv2.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
