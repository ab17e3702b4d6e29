# Random gradient weighting (RGW): new weights in each update (Lin et al. 2022).
rgw = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.Random'),
        on='backbone',
    )
)
