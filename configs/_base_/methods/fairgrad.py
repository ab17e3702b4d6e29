# FairGrad: an alpha-fair share of the progress (Ban and Ji 2024). alpha = 1, proportional fairness,
# is ours.
fairgrad = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.FairGrad', alpha=1.0),
        on='backbone',
    )
)
