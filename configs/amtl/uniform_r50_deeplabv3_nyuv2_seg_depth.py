# Uniform weighting of segmentation and depth (AMTL, Table H).
_base_ = 'uniform_r50_deeplabv3_nyuv2.py'
tasks = ['seg', 'depth']
