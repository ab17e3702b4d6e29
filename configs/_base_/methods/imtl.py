# IMTL: IMTL-G on the shared features, of losses that IMTL-L scales (Liu et al. 2021).
_base_ = ['imtl_g.py', 'imtl_l.py']
imtl = dict(
    optim_wrapper=dict(_base_.imtl_g.optim_wrapper, weighting=_base_.imtl_l.optim_wrapper.weighting)
)
