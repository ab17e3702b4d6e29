# Smooth Tchebycheff scalarisation (Lin et al. 2024). The smoothing, mu = 1, is ours.
stch = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.STCH', mu=1.0))
)
