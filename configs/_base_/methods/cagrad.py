# CAGrad: near the mean gradient, best for the worst task (Liu et al. 2021). The radius, c, is ours.
cagrad = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.CAGrad', c=0.5),
        on='backbone',
    )
)
