# FAMO: weights that follow the losses after each update; a forward pass more (Liu et al. 2023).
famo = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.FAMO')))
