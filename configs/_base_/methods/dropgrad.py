# DropGrad: a task step drops half of the gradients of layer4 at random, wherever in the backbone
# that is (GradSplit, Tables 4 and 7). One optimizer for all tasks is ours.
dropgrad = dict(
    optim_wrapper=dict(
        type='GradSplitOptimWrapper',
        relations='all',
        modules=['*layer4'],
        optimizers='shared',
        drop_grad=0.5,
    )
)
