# Round-robin training as in AMTL's supplement, C.3: AdamW, two epochs of warm-up, then a tenth of
# the learning rate whenever acc_mtl has not risen for 20 epochs. The paper tried the learning rates
# 4e-4, 2e-4, 1e-4, 8e-5 and 4e-5. An epoch is one of VOC 07+12 trainval, 16,551 images, in batches
# of 32.
train_cfg = dict(
    type='RoundRobinTrainLoop', max_epochs=200, iters_per_epoch=518, val_begin=1, val_interval=1
)
val_cfg = dict(type='MultiTaskValLoop')
test_cfg = dict(type='MultiTaskTestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=5e-6),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        begin=0,
        end=2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(
        type='ReduceOnPlateauLR',
        monitor='acc_mtl',
        rule='greater',
        factor=0.1,
        patience=20,
        threshold=0.0,
    ),
]
