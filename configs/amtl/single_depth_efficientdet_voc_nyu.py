# The single task of depth on NYUv2, on EfficientDet's features (AMTL, Table 7).
_base_ = 'uniform_efficientdet_voc_nyu.py'
tasks = ['depth']
