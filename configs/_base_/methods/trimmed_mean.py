# Trimmed mean: without the lowest and the highest value of each element (Yin et al. 2018), of three
# tasks or more. How many are left out, one, is ours.
trimmed_mean = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.TrimmedMean', trim_number=1),
        on='backbone',
    )
)
