# STA on Cityscapes (Table 3): a random task for each sample, twice as many steps
# as Full Task, so every annotation as often.
_base_ = 'ftplus_r50_cityscapes.py'
train_cfg = dict(allocator=dict(type='STA'))
