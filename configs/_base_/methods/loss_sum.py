# The sum of the task losses: uniform weighting with T times the learning rate, for T tasks.
loss_sum = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.Sum'))
)
