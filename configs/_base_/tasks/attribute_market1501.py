# The test of the attribute task on Market-1501, on which it was not trained (Table 6): the
# attributes that Market-1501 has in common with PA-100K, docs/cross_dataset.md.
attribute_market1501 = dict(
    test_dataloader=dict(
        batch_size=64,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            _scope_='mmpretrain',
            type='mmgradsplit.Market1501Attributes',
            data_root='data/market1501',
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(128, 256), interpolation='bilinear'),
                dict(type='PackInputs'),
            ],
        ),
    ),
)
