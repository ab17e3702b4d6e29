# MGDA: the shortest convex combination of the task gradients (Sener and Koltun 2018).
mgda = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.MGDA'),
        on='backbone',
    )
)
