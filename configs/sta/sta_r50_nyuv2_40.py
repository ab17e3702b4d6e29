# STA on NYUv2-40 (Table 2): a random task for each sample, as many steps as Full Task.
_base_ = 'ft_r50_nyuv2_40.py'
train_cfg = dict(allocator=dict(type='STA'))
