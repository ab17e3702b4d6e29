# PCGrad on the last layer of the shared backbone (GradSplit, Table A-4 and supplement D.2).
_base_ = 'multihead_r50gn_attribute_reid_pose.py'
optim_wrapper = dict(
    _delete_=True,
    type='AggregatorOptimWrapper',
    optimizer=dict(type='Adam', lr=0.001),
    aggregator=dict(type='torchjd.PCGrad'),
    on='last_layer',
)
