# IMTL: IMTL-G on the last shared layer, of losses that IMTL-L scales, for the backbone; the heads
# are trained by the scaled losses alone (Liu et al. 2021; AMTL, supplement B.5).
_base_ = ['imtl_g.py', 'imtl_l.py']
imtl = dict(
    optim_wrapper=dict(
        _base_.imtl_g.optim_wrapper,
        weighting=_base_.imtl_l.optim_wrapper.weighting,
        heads='own',
    )
)
