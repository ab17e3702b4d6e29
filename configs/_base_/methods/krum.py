# Multi-Krum: the task gradient that is nearest to the others (Blanchard et al. 2017), of three or
# more. That none is suspected, n_byzantine = 0, is ours.
krum = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.Krum', n_byzantine=0),
        on='backbone',
    )
)
