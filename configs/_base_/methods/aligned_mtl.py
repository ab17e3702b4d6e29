# Aligned-MTL: the principal components of the task gradients are made equal (Senushkin et al.
# 2023).
aligned_mtl = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.AlignedMTL'),
        on='backbone',
    )
)
