# Joint training on one data set: Adam, polynomial decay over 100 epochs.
train_cfg = dict(type='JointTrainLoop', max_epochs=100, val_begin=10, val_interval=10)
val_cfg = dict(type='MultiTaskValLoop')
test_cfg = dict(type='MultiTaskTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4))
param_scheduler = [
    dict(type='PolyLR', power=0.9, begin=0, end=100, by_epoch=True, convert_to_iter_based=True)
]
