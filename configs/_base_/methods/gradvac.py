# Gradient vaccine: task gradients are turned towards similarities seen before (Wang et al. 2021).
gradvac = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.GradVac'),
        on='backbone',
    )
)
