# The paper's schedule (section 4.1): 3 epochs of linear warm-up, then 100 epochs of cosine decay in
# 10 cycles; 1,000 major iterations an epoch; learning rate 0.001.
train_cfg = dict(
    type='RoundRobinTrainLoop', max_epochs=103, iters_per_epoch=1000, val_begin=10, val_interval=10
)
val_cfg = dict(type='MultiTaskValLoop')
test_cfg = dict(type='MultiTaskTestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.001))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        begin=0,
        end=3,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineRestartLR',
        periods=[10] * 10,
        restart_weights=[1] * 10,
        eta_min=0,
        begin=3,
        end=103,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
