# AMTL, with the single-task accuracies of the paper (Table G).
_base_ = 'uniform_efficientnetv2s_deeplabv3plus_nyuv2.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
