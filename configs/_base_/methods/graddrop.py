# GradDrop: one sign of the gradients of each feature is kept, at random (Chen et al. 2020).
graddrop = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.GradDrop'),
        on='features',
    )
)
