# UPGrad: projections of the task gradients that conflict with none (Quinton and Rey 2024).
upgrad = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.UPGrad'),
        on='backbone',
    )
)
