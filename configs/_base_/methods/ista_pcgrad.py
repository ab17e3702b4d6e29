# ISTA with PCGrad (STA, Table 6).
_base_ = ['ista.py', 'pcgrad.py']
ista_pcgrad = dict(optim_wrapper=_base_.pcgrad.optim_wrapper, train_cfg=_base_.ista.train_cfg)
