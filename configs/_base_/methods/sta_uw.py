# STA with uncertainty weighting (STA, Tables 1 to 3).
_base_ = ['sta.py', 'uw.py']
sta_uw = dict(optim_wrapper=_base_.uw.optim_wrapper, train_cfg=_base_.sta.train_cfg)
