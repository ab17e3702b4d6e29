# ISTA: each sample is supervised by its tasks in turn, an update after each (STA, Algorithm 2).
ista = dict(train_cfg=dict(allocator=dict(type='mmgradsplit.ISTA')))
