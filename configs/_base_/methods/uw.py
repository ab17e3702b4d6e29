# Uncertainty weighting: a learned weight for each task (Kendall et al. 2018), whose log-variances
# begin at -0.5, as in LibMTL and MTAN's code.
uw = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW', start=-0.5))
)
