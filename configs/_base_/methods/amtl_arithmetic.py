# AMTL with the weighted sum of the losses in place of their geometric mean. It reads the config's
# accuracies.
amtl_arithmetic = dict(
    optim_wrapper=dict(
        type='MultiTaskOptimWrapper', weighting=dict(type='AMTLWeighting', form='arithmetic')
    )
)
