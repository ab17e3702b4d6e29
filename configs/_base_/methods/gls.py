# Geometric loss strategy (GLS): the geometric mean of the losses (Chennupati et al. 2019).
gls = dict(
    optim_wrapper=dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.GeometricMean'))
)
