# IMTL-G: equal projections onto all task gradients on the last shared layer; its weights multiply
# the whole losses (Liu et al. 2021; AMTL, supplement B.5).
imtl_g = dict(
    optim_wrapper=dict(
        type='AggregatorOptimWrapper',
        aggregator=dict(type='torchjd.IMTLG'),
        on='last_layer',
        whole_loss=True,
        heads='weighted',
    )
)
