# AMTL on PASCAL VOC and NYUv2 (Table 7). The references decide its weights: see the config below.
_base_ = 'uniform_efficientdet_voc_nyu.py'
model = dict(weighting=dict(type='AMTLWeighting', references={{_base_.references}}))
