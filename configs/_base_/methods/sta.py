# STA: each sample is supervised by one task, drawn at random (STA, Algorithm 1).
sta = dict(train_cfg=dict(allocator=dict(type='mmgradsplit.STA')))
