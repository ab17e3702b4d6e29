# Random loss weighting (RLW): new weights in each step (Lin et al. 2022).
rlw = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.Random')))
