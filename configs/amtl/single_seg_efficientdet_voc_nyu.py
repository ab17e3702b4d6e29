# The single task of segmentation on NYUv2, on EfficientDet's features (AMTL, Table 7).
_base_ = 'uniform_efficientdet_voc_nyu.py'
tasks = ['seg']
