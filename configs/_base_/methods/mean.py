# The mean of the task gradients: trains as uniform weighting, at the price of an aggregator.
mean = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.Mean'),
        on='backbone',
    )
)
