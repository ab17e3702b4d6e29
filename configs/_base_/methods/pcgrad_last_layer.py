# PCGrad on the last layer of the shared backbone (GradSplit, supplement D.2).
pcgrad_last_layer = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.PCGrad'),
        on='last_layer',
    )
)
