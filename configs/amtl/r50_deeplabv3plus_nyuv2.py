# AMTL, with the single-task accuracies of the paper (Table C).
_base_ = ['uniform_r50_deeplabv3plus_nyuv2.py', '../_base_/methods/amtl.py']
optim_wrapper = dict(
    _base_.amtl.optim_wrapper,
    weighting=dict(_base_.amtl.optim_wrapper.weighting, references=_base_.accuracies),
)
