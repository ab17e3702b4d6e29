# ExcessMTL: weights that follow estimated excess risks (He et al. 2024).
excess_mtl = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.ExcessMTL'),
        on='backbone',
    )
)
