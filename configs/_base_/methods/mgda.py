# MGDA: the shortest convex combination of the task gradients, whose weights multiply the heads'
# losses too, as in the official code and in AMTL's (Sener and Koltun 2018).
mgda = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.MGDA'),
        on='backbone',
        heads='weighted',
    )
)
