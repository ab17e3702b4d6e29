# Dynamic task prioritization (AMTL, Table C).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
model = dict(
    weighting=dict(type='DTPWeighting', metrics=['seg/mIoU', 'depth/delta1', 'normal/11.25'])
)
