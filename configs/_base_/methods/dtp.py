# Dynamic task prioritisation: by the accuracies of the latest validation, with the focusing factor
# 0.5 that AMTL's code recommends for it (Guo et al. 2018). It reads the config's accuracies.
dtp = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='DTPWeighting')))
