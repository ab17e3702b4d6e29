# DropGrad on layer4 of R50-GN+ (Table 7): half of the gradients are dropped at random.
_base_ = '../multihead/multihead_r50gnplus_4task.py'
optim_wrapper = dict(drop_grad=0.5)
