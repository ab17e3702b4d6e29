# AMTL, with the single-task accuracies of the paper (Table E).
_base_ = 'uniform_r50_deeplabv3plus_individual_nyuv2.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
