# AMTL, with the single-task accuracies of the paper (Table D).
_base_ = 'uniform_r50_deeplabv3_individual_nyuv2.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
