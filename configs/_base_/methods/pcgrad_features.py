# PCGrad on the backbone's outputs, with one backward pass through it; this place is ours.
pcgrad_features = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.PCGrad'),
        on='features',
    )
)
