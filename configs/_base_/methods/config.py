# ConFIG: equal cosines with all task gradients (Liu et al. 2024).
config = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.ConFIG'),
        on='backbone',
    )
)
