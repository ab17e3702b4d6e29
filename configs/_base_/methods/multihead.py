# The multi-head baseline: every task trains every filter, by an optimizer of its own (GradSplit,
# section 4.1).
multihead = dict(
    optim_wrapper=dict(
        type='GradSplitOptimWrapper',
        relations='all',
        modules=[],
        optimizers='separate',
        update='step',
    )
)
