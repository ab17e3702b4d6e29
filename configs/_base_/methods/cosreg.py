# CosReg: squared cosines of the task gradients in the loss (Suteu and Guo 2019; STA, Table 1).
# Their factor and place, 1 on the last shared layer, are ours: STA does not give them.
cosreg = dict(optim_wrapper=dict(type='CosRegOptimWrapper', weight=1.0))
