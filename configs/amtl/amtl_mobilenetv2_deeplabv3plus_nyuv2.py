# AMTL, with the single-task accuracies of the paper (Table F).
_base_ = 'uniform_mobilenetv2_deeplabv3plus_nyuv2.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
