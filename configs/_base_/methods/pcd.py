# Priority-constrained descent (PCD): the gradient of the first task, as long as every other task
# progresses too (TMLR 2026). So the order of the tasks matters.
pcd = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.PCD'),
        on='backbone',
    )
)
