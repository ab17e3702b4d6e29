# STA with PCGrad (STA, Table 6).
_base_ = ['sta.py', 'pcgrad.py']
sta_pcgrad = dict(optim_wrapper=_base_.pcgrad.optim_wrapper, train_cfg=_base_.sta.train_cfg)
