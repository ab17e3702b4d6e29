# PCGrad on the last layer of the shared backbone, which is all of its layer4 (GradSplit, section
# 3.1 and supplement D.2).
pcgrad_last_layer = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.PCGrad'),
        on=['*layer4'],
    )
)
