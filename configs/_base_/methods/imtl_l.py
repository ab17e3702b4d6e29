# IMTL-L: a learned scale for each loss (Liu et al. 2021).
imtl_l = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.IMTLL'))
)
