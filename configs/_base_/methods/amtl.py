# Achievement-based training progress balancing: a geometric mean of the losses, weighted by what
# each task has achieved (AMTL). It reads the config's accuracies.
amtl = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='AMTLWeighting')))
