# The mean of the task losses, which a model's loss_weights may weigh (STA, Algorithm 1).
uniform = dict(optim_wrapper=dict(type='MultiTaskOptimWrapper'))
