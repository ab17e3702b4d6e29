# The single task of depth (AMTL, Tables A, D and H).
_base_ = 'uniform_r50_deeplabv3_nyuv2.py'
tasks = ['depth']
