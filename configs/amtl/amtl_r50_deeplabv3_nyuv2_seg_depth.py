# AMTL, with the single-task accuracies of the paper (Table H).
_base_ = 'uniform_r50_deeplabv3_nyuv2_seg_depth.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.accuracies}}))
