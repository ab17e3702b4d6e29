# The sum of the task gradients on the backbone: T times the mean, for T tasks.
sum = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.Sum'),
        on='backbone',
    )
)
