# The single task of detection on PASCAL VOC, on EfficientDet's features (AMTL, Table 7).
_base_ = 'uniform_efficientdet_voc_nyu.py'
tasks = ['detection']
