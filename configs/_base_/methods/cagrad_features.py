# CAGrad on the backbone's outputs, with one backward pass through it; place and radius are ours.
cagrad_features = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.CAGrad', c=0.5),
        on='features',
    )
)
