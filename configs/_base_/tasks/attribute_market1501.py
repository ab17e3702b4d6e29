# Where Table 6 tests the attribute task: Market-1501 with the attributes that it has in common with
# PA-100K (docs/cross_dataset.md). Dataloader and pipeline are those of the task's validation.
attribute_market1501 = dict(
    _scope_='mmpretrain', type='mmgradsplit.Market1501Attributes', data_root='data/market1501'
)
