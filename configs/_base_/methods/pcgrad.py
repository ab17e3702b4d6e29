# PCGrad: conflicting task gradients are projected onto each other's normal plane (Yu et al. 2020).
pcgrad = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.PCGrad'),
        on='backbone',
    )
)
