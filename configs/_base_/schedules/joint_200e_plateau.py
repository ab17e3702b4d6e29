# Joint training as in AMTL's supplement, C.3, with the optimizer and the schedule of the base; an
# epoch is once through the joined sets.
_base_ = 'round_robin_200e_plateau.py'
train_cfg = dict(_delete_=True, type='JointTrainLoop', max_epochs=200, val_begin=1, val_interval=1)
