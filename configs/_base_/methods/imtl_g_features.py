# IMTL-G on the backbone's outputs, and heads by their own losses, as its paper has it (Liu et al.
# 2021).
imtl_g_features = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.IMTLG'),
        on='features',
        heads='own',
    )
)
