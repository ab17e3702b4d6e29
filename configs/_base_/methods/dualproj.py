# DualProj: the mean gradient, projected to conflict with no task (Lopez-Paz and Ranzato 2017).
dualproj = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.DualProj'),
        on='backbone',
    )
)
