# The single task of segmentation (AMTL, Tables C and E).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
tasks = ['seg']
