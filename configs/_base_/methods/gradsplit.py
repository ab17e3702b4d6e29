# GradSplit: a task trains the filter groups of those tasks that it does not hurt (sections 3.1 and
# 4.1). It reads the config's relations.
gradsplit = dict(
    optim_wrapper=dict(
        type='GradSplitOptimWrapper',
        threshold=-0.01,
        modules=['layer4'],
        optimizers='separate',
        update='step',
    )
)
