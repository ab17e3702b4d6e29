# GradNorm: learned weights that balance gradient norms on the last shared layer (Chen et al. 2018).
gradnorm = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='GradNormWeighting'))
)
