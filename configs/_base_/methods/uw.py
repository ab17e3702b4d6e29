# Uncertainty weighting: a learned weight for each task (Kendall et al. 2018).
uw = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.UW')))
