# The single task of depth (AMTL, Tables C and E).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
tasks = ['depth']
