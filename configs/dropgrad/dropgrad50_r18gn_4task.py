# DropGrad on layer4 (Table 4): 50% of the gradients are dropped at random, no relations.
_base_ = '../multihead/multihead_r18gn_4task.py'
optim_wrapper = dict(drop_grad=0.5)
