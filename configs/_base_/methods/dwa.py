# Dynamic weight average: by how much the losses fell in the last epochs (Liu et al. 2019).
dwa = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.DWA')))
