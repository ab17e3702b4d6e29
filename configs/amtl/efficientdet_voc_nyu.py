# AMTL on PASCAL VOC and NYUv2 (Table 7). The accuracies decide its weights: see the config below.
_base_ = ['uniform_efficientdet_voc_nyu.py', '../_base_/methods/amtl.py']
optim_wrapper = dict(
    weighting=dict(_base_.amtl.optim_wrapper.weighting, references=_base_.accuracies)
)
