# Joint training as in AMTL's supplement, A.2: Adam, cosine decay over 100 epochs without warm-up.
# The paper tried the learning rates 8e-4, 4e-4, 2e-4, 1e-4 and 8e-5, and took the best epoch.
train_cfg = dict(type='JointTrainLoop', max_epochs=100, val_begin=1, val_interval=1)
val_cfg = dict(type='MultiTaskValLoop')
test_cfg = dict(type='MultiTaskTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999), weight_decay=5e-4),
)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=100,
        begin=0,
        end=100,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
