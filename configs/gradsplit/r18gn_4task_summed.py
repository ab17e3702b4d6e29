# One update a major iteration, from the sum of the masked task gradients (Eq. 4).
_base_ = 'r18gn_4task_shared_optimizer.py'
optim_wrapper = dict(update='iteration')
