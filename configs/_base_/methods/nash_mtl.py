# Nash-MTL: the bargaining solution of the tasks (Navon et al. 2022).
nash_mtl = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.NashMTL'),
        on='backbone',
    )
)
