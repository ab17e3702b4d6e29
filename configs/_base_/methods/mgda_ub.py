# MGDA-UB: MGDA on the backbone's outputs, one backward pass through it; heads as with MGDA (Sener
# and Koltun 2018).
mgda_ub = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.MGDA'),
        on='features',
        heads='weighted',
    )
)
