# ISTA with uncertainty weighting (STA, Tables 1 to 3).
_base_ = ['ista.py', 'uw.py']
ista_uw = dict(optim_wrapper=_base_.uw.optim_wrapper, train_cfg=_base_.ista.train_cfg)
