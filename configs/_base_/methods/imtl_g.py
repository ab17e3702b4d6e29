# IMTL-G: equal projections onto all task gradients, on the shared features (Liu et al. 2021).
imtl_g = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.IMTLG'),
        on='features',
    )
)
